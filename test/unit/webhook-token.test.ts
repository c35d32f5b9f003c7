import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey, type SigningKeys } from '../../src/shared/values/signing-keys.ts'

const tokensOf = (deployment: string, key: string, publicUrl: string | null = 'https://queue.example/base/') =>
  createWebhookTokens({ deployment, keys: oneKey(Buffer.from(key)), publicUrl: () => publicUrl })
const tokens = tokensOf('Dep1', 'key')

describe('a webhook URL', () => {
  test('names its job and attempt to the deployment that made it', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.constantFrom('default', 'second'),
        (job, attempt, account) => {
          const wellFormed = job.toWellFormed()
          const url = tokens.url(wellFormed, attempt, account)
          expect(tokens.read(url)).toEqual({ job: wellFormed, attempt, account })
        },
      ),
    )
  })

  test('names them on a host that never resolves, when the service is not reachable', () => {
    const unreachable = tokensOf('Dep1', 'key', null)
    const url = unreachable.url('job_1', 2)
    expect(new URL(url).host).toBe('dep1.invalid')
    expect(unreachable.read(url)).toEqual({ job: 'job_1', attempt: 2, account: 'default' })
    // The address may change while predictions run.
    expect(tokens.read(url)).toEqual({ job: 'job_1', attempt: 2, account: 'default' })
  })

  test('of another deployment, or by another key, is not ours', () => {
    const url = tokens.url('job_1', 1)
    expect(tokensOf('Dep2', 'key').read(url)).toBeNull()
    expect(tokensOf('Dep1', 'other').read(url)).toBeNull()
  })

  test('without an account is one of the account default, as before there were others', () => {
    const url = new URL(tokens.url('job_1', 1, 'default'))
    expect(url.searchParams.has('account')).toBe(false)
    expect(url.href).toBe(tokens.url('job_1', 1))
  })

  test.each([
    ['another account', (url: URL) => url.searchParams.set('account', 'second')],
    ['another job', (url: URL) => url.searchParams.set('job', 'job_2')],
    ['another attempt', (url: URL) => url.searchParams.set('attempt', '2')],
    ['no job', (url: URL) => url.searchParams.delete('job')],
    ['no attempt', (url: URL) => url.searchParams.delete('attempt')],
    ['an attempt that is no number', (url: URL) => url.searchParams.set('attempt', 'one')],
    ['half an attempt', (url: URL) => url.searchParams.set('attempt', '1.5')],
    ['an endless attempt', (url: URL) => url.searchParams.set('attempt', 'Infinity')],
    ['no token', (url: URL) => url.searchParams.delete('token')],
    ['an empty token', (url: URL) => url.searchParams.set('token', '')],
    [
      'a shorter token',
      (url: URL) => url.searchParams.set('token', (url.searchParams.get('token') ?? '').slice(0, -1)),
    ],
    ['a token of other bytes', (url: URL) => url.searchParams.set('token', 'ü'.repeat(11))],
  ])('with %s names nothing', (_what, change) => {
    const url = new URL(tokens.url('job_1', 1))
    change(url)
    expect(tokens.read(url.href)).toBeNull()
  })

  test.each(['', 'not a url', '/webhooks/replicate?job=job_1', 'https://somebody.example/hook', 'https://['])(
    'of another service names nothing: %j',
    (url) => {
      expect(tokens.read(url)).toBeNull()
    },
  )

  test('that anybody made up names nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((query) => `https://x.example/?${query}`),
        ),
        (url) => tokens.read(url) === null,
      ),
    )
  })
})

test('a token is checked again when the keys have changed, however often it was valid before', () => {
  let accepted = [Buffer.from('old')]
  const keys: SigningKeys = { ...oneKey(Buffer.from('old')), accepted: () => accepted }
  const rotating = createWebhookTokens({ deployment: 'Dep1', keys, publicUrl: () => null })
  const token = new URL(rotating.url('job_1', 1)).searchParams.get('token') ?? ''
  const isValid = (): boolean[] => [1, 2, 3].map(() => rotating.valid('job_1', 1, token))
  expect(isValid()).toEqual([true, true, true])
  accepted = [Buffer.from('new'), Buffer.from('old')]
  expect(isValid()).toEqual([true, true, true])
  accepted = [Buffer.from('new')]
  expect(isValid()).toEqual([false, false, false])
  accepted = [Buffer.from('old')]
  expect(isValid()).toEqual([true, true, true])
  // A proof of one token says nothing of others.
  expect(rotating.valid('job_1', 2, token)).toBe(false)
  expect(rotating.valid('job_2', 1, token)).toBe(false)
  expect(rotating.valid('job_1', 1, `${token} `)).toBe(false)
})
