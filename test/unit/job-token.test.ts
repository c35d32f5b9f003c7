import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createJobTokens, type TokenGrant } from '../../src/shared/tenants/rules/job-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { examples } from '../support/property-seed.ts'

const tokens = createJobTokens(oneKey(Buffer.alloc(32, 1)))
const base32 = fc.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/)
const grants: fc.Arbitrary<TokenGrant> = fc.record({
  subject: fc.oneof(
    base32.map((ulid) => `job_${ulid}`),
    base32.map((ulid) => `bat_${ulid}`),
  ),
  holder: fc.stringMatching(/^[0-9A-Za-z]{12}$/),
  expires: fc.integer({ min: 1_700_000_000, max: 4_000_000_000 }),
})

test('a token says what it was made for, and fits where a key does', () => {
  fc.assert(
    fc.property(grants, (grant) => {
      const token = tokens.issue(grant)
      expect(token).toMatch(/^gqt_[A-Za-z0-9_-]{1,196}$/)
      expect(tokens.read(token)).toEqual(grant)
    }),
  )
})

test('a token that was changed anywhere, or is of another deployment, is none', () => {
  const others = createJobTokens(oneKey(Buffer.alloc(32, 2)))
  fc.assert(
    fc.property(grants, fc.nat(300), fc.constantFrom(...'AZaz09_-'.split('')), (grant, place, other) => {
      const token = tokens.issue(grant)
      const at = place % token.length
      expect(others.read(token)).toBeNull()
      fc.pre(token[at] !== other)
      expect(tokens.read(token.slice(0, at) + other + token.slice(at + 1))).toBeNull()
    }),
    { numRuns: examples(500) },
  )
})

test('what is no token is none', () => {
  for (const text of ['', 'gqt_', `gqt_${'A'.repeat(22)}`, `gqt_${'A'.repeat(100)}`, 'gqt_\u0000'])
    expect(tokens.read(text)).toBeNull()
})
