import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { KEY_ID, keyDigest, keyIdOf, makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import { examples } from '../support/property-seed.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'
const character = fc.constantFrom(...ALPHABET.split(''))
const made = fc.constant(null).map(() => makeKey())

test('a key fits into a header, names its record, and is never the same', () => {
  const keys = Array.from({ length: 1000 }, () => makeKey())
  for (const { id, key } of keys) {
    expect(key).toMatch(/^gq_[A-Za-z0-9_-]{62}$/)
    expect(id).toMatch(KEY_ID)
    expect(keyIdOf(key)).toBe(id)
  }
  expect(new Set(keys.map(({ id }) => id)).size).toBe(1000)
  expect(new Set(keys.map(({ key }) => keyDigest(key))).size).toBe(1000)
})

test('a key with one character changed, anywhere, is refused', () => {
  fc.assert(
    fc.property(made, fc.nat(64), character, ({ key }, at, other) => {
      fc.pre(key[at] !== other)
      expect(keyIdOf(key.slice(0, at) + other + key.slice(at + 1))).toBeNull()
    }),
    { numRuns: examples(2000) },
  )
})

test('a key with a character more or less, or two neighbours swapped, is refused', () => {
  fc.assert(
    fc.property(made, fc.nat(63), character, ({ key }, at, other) => {
      expect(keyIdOf(key.slice(0, at) + other + key.slice(at))).toBeNull()
      expect(keyIdOf(key.slice(0, at) + key.slice(at + 1))).toBeNull()
      fc.pre(key[at] !== key[at + 1])
      expect(keyIdOf(key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2))).toBeNull()
    }),
    { numRuns: examples(1000) },
  )
})

test('what is no key is refused', () => {
  const { key } = makeKey()
  for (const text of ['', 'gq_', `${key}\n`, ` ${key}`, key.toUpperCase(), key.replace('gq_', 'gqt_')])
    expect(keyIdOf(text)).toBeNull()
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      expect(keyIdOf(text)).toBeNull()
    }),
  )
})
