import { createHmac, randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { validateWebhook } from 'replicate'
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { createWebhookSecrets } from '../../src/shared/replicate/webhook-secrets.ts'
import { TOLERANCE_S, verifySignature } from '../../src/shared/replicate/rules/webhook-signature.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { examples } from '../support/property-seed.ts'

/** Published with the official clients, and one of the documentation's secret. */
const VECTORS = [
  {
    secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestamp: '1614265330',
    body: '{"test": 2432232314}',
    signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  },
  {
    secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
    id: 'msg_2yGEvjbj5JfrCSTduf2IL4TZgFz',
    timestamp: '1749452742',
    body: '{"id":"ype2b3w02xrme0cqadzrms82nm","status":"succeeded"}',
    signature: 'v1,dy5Gs4/9rw8UXgriw4edhFjAVN1i89Kqqq7//6B53DU=',
  },
]
const [vector] = VECTORS
if (!vector) throw new Error('there is no vector')
const OTHER = `whsec_${randomBytes(24).toString('base64')}`

const at = (timestamp: string): number => Number(timestamp) * 1000
const verify = (
  changes: Partial<typeof vector> = {},
  secrets = [vector.secret],
  now = at(vector.timestamp),
): boolean => {
  const { body, ...rest } = { ...vector, ...changes }
  return verifySignature({ ...rest, body: Buffer.from(body) }, secrets, now)
}

describe('a signature', () => {
  test.each(VECTORS)('of the vector $id is right', ({ secret, body, ...rest }) => {
    expect(verifySignature({ ...rest, body: Buffer.from(body) }, [secret], at(rest.timestamp))).toBe(true)
  })

  test('is wrong for another body, id, time or secret', () => {
    expect(verify({ body: '{"test": 2432232315}' })).toBe(false)
    expect(verify({ body: `${vector.body} ` })).toBe(false)
    expect(verify({ id: 'msg_other' })).toBe(false)
    expect(verify({ timestamp: String(Number(vector.timestamp) + 1) })).toBe(false)
    expect(verify({}, [OTHER])).toBe(false)
    expect(verify({}, [])).toBe(false)
  })

  test('holds for five minutes, in both directions', () => {
    const sent = at(vector.timestamp)
    for (const offset of [0, TOLERANCE_S, -TOLERANCE_S]) expect(verify({}, undefined, sent + offset * 1000)).toBe(true)
    for (const offset of [TOLERANCE_S + 1, -TOLERANCE_S - 1])
      expect(verify({}, undefined, sent + offset * 1000)).toBe(false)
  })

  test('may be one of several, made with the current or the previous secret', () => {
    const wrong = `v1,${randomBytes(32).toString('base64')}`
    expect(verify({ signature: `${wrong} v2,abc ${vector.signature}` })).toBe(true)
    expect(verify({}, [OTHER, vector.secret])).toBe(true)
    expect(verify({ signature: `${`${wrong} `.repeat(10)}${vector.signature}` })).toBe(false)
  })

  test.each([
    ['none', ''],
    ['of another version', vector.signature.replace('v1,', 'v2,')],
    ['without a version', vector.signature.slice(3)],
    ['of version v1a', vector.signature.replace('v1,', 'v1a,')],
    ['cut short', vector.signature.slice(0, -2)],
    ['of no bytes', 'v1,'],
    [
      'of 16 bytes that are a prefix',
      `v1,${Buffer.from(vector.signature.slice(3), 'base64').subarray(0, 16).toString('base64')}`,
    ],
    [
      'of 33 bytes',
      `v1,${Buffer.concat([Buffer.from(vector.signature.slice(3), 'base64'), Buffer.from('x')]).toString('base64')}`,
    ],
    ['in base64url', vector.signature.replaceAll('+', '-').replaceAll('/', '_')],
    ['without padding', vector.signature.replace('=', '')],
    ['with a bit behind the end', vector.signature.replace('OE=', 'OF=')],
    ['with a line break', vector.signature.replace('g0hM', 'g0\nhM')],
    ['in a header without end', `${'x'.repeat(3000)} ${vector.signature}`],
  ])('%s is wrong', (_what, signature) => {
    expect(verify({ signature })).toBe(false)
  })

  test.each(['', 'abc', '-1614265330', '1614265330.0', '1e9', ' 1614265330', '9'.repeat(13)])(
    'with the time %j is wrong',
    (timestamp) => {
      const signature = `v1,${createHmac('sha256', Buffer.from(vector.secret.slice(6), 'base64'))
        .update(`${vector.id}.${timestamp}.${vector.body}`)
        .digest('base64')}`
      expect(verify({ timestamp, signature }, undefined, Number(timestamp) * 1000)).toBe(false)
    },
  )

  test.each(['', 'a b', 'a.b', 'x'.repeat(129), 'ü'])('with the id %j is wrong', (id) => {
    const signature = `v1,${createHmac('sha256', Buffer.from(vector.secret.slice(6), 'base64'))
      .update(`${id}.${vector.timestamp}.${vector.body}`)
      .digest('base64')}`
    expect(verify({ id, signature })).toBe(false)
  })

  test('without a header is wrong', () => {
    const body = Buffer.from(vector.body)
    const { id, timestamp, signature } = vector
    const now = at(timestamp)
    expect(verifySignature({ id: undefined, timestamp, signature, body }, [vector.secret], now)).toBe(false)
    expect(verifySignature({ id, timestamp: undefined, signature, body }, [vector.secret], now)).toBe(false)
    expect(verifySignature({ id, timestamp, signature: undefined, body }, [vector.secret], now)).toBe(false)
  })

  test('of any body agrees with the standard library and the official client', async () => {
    await fc.assert(
      fc.asyncProperty(
        // The official client takes no empty body.
        fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }).filter((text) => text.isWellFormed()),
        fc.uint8Array({ minLength: 24, maxLength: 48 }),
        fc.boolean(),
        async (body, key, tamper) => {
          const secret = `whsec_${Buffer.from(key).toString('base64')}`
          const id = 'msg_1'
          const now = new Date()
          const timestamp = String(Math.floor(now.getTime() / 1000))
          const signature = new Webhook(secret).sign(id, now, body)
          const sent = tamper ? `${body}.` : body
          const ours = verifySignature({ id, timestamp, signature, body: Buffer.from(sent) }, [secret], now.getTime())
          const official = await validateWebhook({ id, timestamp, signature, body: sent, secret })
          expect([ours, official]).toEqual([!tamper, !tamper])
        },
      ),
      { numRuns: examples(100) },
    )
  })
})

describe('the token of a webhook URL', () => {
  const key = randomBytes(32)
  const of = (deployment: string, url: string | null = 'https://gq.example/base/') =>
    createWebhookTokens({ deployment, keys: oneKey(key), publicUrl: () => url })
  const tokens = of('dep1')
  const tokenIn = (url: string): string => new URL(url).searchParams.get('token') ?? ''

  test('is 128 bits that open one attempt of one job of one deployment', () => {
    const url = new URL(tokens.url('job_1', 2))
    expect(url.origin + url.pathname).toBe('https://gq.example/base/webhooks/replicate')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      job: 'job_1',
      attempt: '2',
      token: expect.stringMatching(/^[\w-]{22}$/),
    })
    const token = tokenIn(url.href)
    expect(tokens.valid('job_1', 2, token)).toBe(true)
    expect(tokens.valid('job_1', 1, token)).toBe(false)
    expect(tokens.valid('job_2', 2, token)).toBe(false)
    expect(of('dep2').valid('job_1', 2, token)).toBe(false)
    expect(
      createWebhookTokens({ deployment: 'dep1', keys: oneKey(randomBytes(32)), publicUrl: () => null }).valid(
        'job_1',
        2,
        token,
      ),
    ).toBe(false)
  })

  test('is the same in every process, and wherever we are reached', () => {
    expect(tokenIn(of('dep1', null).url('job_1', 2))).toBe(tokenIn(tokens.url('job_1', 2)))
    expect(new URL(of('Dep1', null).url('job_1', 2)).hostname).toBe('dep1.invalid')
  })

  test.each(['', 'x', 'ü'.repeat(11), 'x'.repeat(22), 'x'.repeat(10_000)])('is not %j', (token) => {
    expect(tokens.valid('job_1', 2, token)).toBe(false)
  })
})

describe('the secrets', () => {
  const MINUTE = 60_000
  function scene(answers: (string | Error)[]) {
    let now = 1_000_000
    let calls = 0
    const secrets = createWebhookSecrets({
      configured: null,
      now: () => now,
      fetch: async () => {
        const answer = answers[Math.min(calls++, answers.length - 1)] ?? new Error('no answer')
        if (answer instanceof Error) throw answer
        return answer
      },
    })
    return { secrets, calls: () => calls, pass: (ms: number) => (now += ms) }
  }

  test('that are configured are never fetched', async () => {
    const secrets = createWebhookSecrets({ configured: 'whsec_a', fetch: () => Promise.reject(new Error('no')) })
    expect(secrets.known()).toEqual(['whsec_a'])
    expect(await secrets.refresh()).toBe('fresh')
  })

  test('are fetched once for any number of webhooks at a time', async () => {
    const { secrets, calls } = scene(['whsec_a'])
    expect(secrets.known()).toEqual([])
    const answers = await Promise.all(Array.from({ length: 50 }, () => secrets.refresh()))
    expect(new Set(answers)).toEqual(new Set(['changed']))
    expect(calls()).toBe(1)
    expect(secrets.known()).toEqual(['whsec_a'])
  })

  test('are fetched at most once a minute, and a signature is judged by a secret that is no older', async () => {
    const { secrets, calls, pass } = scene(['whsec_a'])
    await secrets.refresh()
    pass(MINUTE - 1)
    expect(await secrets.refresh()).toBe('fresh')
    expect(calls()).toBe(1)
    pass(1)
    expect(await secrets.refresh()).toBe('fresh')
    expect(calls()).toBe(2)
  })

  test('rotate: the new one and the one before it count, older ones do not', async () => {
    const { secrets, pass } = scene(['whsec_a', 'whsec_b', 'whsec_c'])
    await secrets.refresh()
    pass(MINUTE)
    expect(await secrets.refresh()).toBe('changed')
    expect(secrets.known()).toEqual(['whsec_b', 'whsec_a'])
    pass(MINUTE)
    await secrets.refresh()
    expect(secrets.known()).toEqual(['whsec_c', 'whsec_b'])
  })

  test('that cannot be loaded are unavailable; without any, the next webhook loads them again soon', async () => {
    const { secrets, calls, pass } = scene([new Error('away'), new Error('away'), 'whsec_a', new Error('away')])
    expect(await secrets.refresh()).toBe('unavailable')
    expect(await secrets.refresh()).toBe('unavailable')
    expect(calls()).toBe(1)
    pass(1000)
    expect(await secrets.refresh()).toBe('unavailable')
    pass(1000)
    expect(await secrets.refresh()).toBe('changed')
    pass(MINUTE)
    expect(await secrets.refresh()).toBe('unavailable')
    pass(MINUTE - 1)
    expect(await secrets.refresh()).toBe('unavailable')
    expect(calls()).toBe(4)
    expect(secrets.known()).toEqual(['whsec_a'])
  })
})
