import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWebhookReceiver } from '../../src/api/routes/webhooks.ts'
import { createThrottle } from '../../src/api/throttle.ts'
import type { Job } from '../../src/client/types.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import { createGeneration } from '../../src/shared/redis/generation.ts'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createWebhookSecrets } from '../../src/shared/replicate/webhook-secrets.ts'
import { rotateDeploymentKey } from '../../src/shared/redis/deployment.ts'
import type { WebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { startOwnRedis } from '../support/redis.ts'
import {
  aboutPrediction as about,
  jobWithPrediction,
  sendWebhook as post,
  signerOf,
  type SentWebhook,
  type WebhookSigner,
} from '../support/sign-webhook.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'

/** Numbers are those of docs/failure-modes.md's list of tests. */

/** The sweep does not ask by itself while a test runs. */
const QUIET = { pollWithWebhooks: { first: 600_000, min: 600_000, max: 600_000 } }

let service: TestService
let secret: string
let tokens: WebhookTokens
let signed: WebhookSigner['sign']

beforeAll(async () => {
  service = await startService({ timings: QUIET })
  // Only this test sends webhooks, and predictions never end by themselves.
  await service.simulator.faults({ webhooks: { drop: 1 }, predictions: { starting_forever: { probability: 1 } } })
  ;({ secret, tokens, sign: signed } = await signerOf(service))
})
afterAll(() => service.stop())

const waiting = (at = service): Promise<Job & { prediction_id: string }> => jobWithPrediction(at)

test('an authentic webhook ends the silence of webhooks, also when it brings no news', async () => {
  const { redis, keys } = service
  const silence = (): Promise<string | null> => redis.hget(keys.account('default'), 'silence')
  const job = await waiting()
  const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
  expect(await post(sent)).toBe(200)
  const { rev } = await service.client.get(job.id)
  const unknown = `job_${'0'.repeat(26)}`
  for (const late of [sent, signed(tokens.url(unknown, 1), about(job, 'succeeded'))]) {
    await redis.hset(keys.account('default'), 'silence', '7')
    // Who may not speak for Replicate does not end it.
    const forged = { ...late, headers: { ...late.headers, 'webhook-signature': 'v1,AAAA' } }
    expect(await post(forged)).toBe(401)
    expect(await silence()).toBe('7')
    expect(await post(late)).toBe(200)
    expect(await silence()).toBe('0')
  }
  expect((await service.client.get(job.id)).rev).toBe(rev)
})

test('an output that is nested without end fails its job, and says so', async () => {
  const job = await waiting()
  const body = JSON.stringify(about(job, 'succeeded', { output: null }))
  const nested = body.replace('"output":null', `"output":${'['.repeat(10_000)}${']'.repeat(10_000)}`)
  expect(await post(signed(tokens.url(job.id, 1), nested))).toBe(200)
  expect((await service.client.get(job.id)).error).toMatchObject({ code: 'output_not_stored', billed: 'yes' })
})

test('a record that a newer release wrote is left to it: 503, so that Replicate tries again', async () => {
  const job = await waiting()
  const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
  await service.redis.hset(service.keys.job(job.id), 'v', '2')
  expect(await post(sent)).toBe(503)
  await expect(service.client.get(job.id)).rejects.toMatchObject({ status: 503, code: 'unavailable' })
  await service.redis.hset(service.keys.job(job.id), 'v', '1')
  expect(await post(sent)).toBe(200)
  expect((await service.client.get(job.id)).status).toBe('succeeded')
})

test('tokens of the key before and of a new one are taken, without a restart', async () => {
  const job = await waiting()
  const before = signed(tokens.url(job.id, 1), about(job, 'processing'))
  const { deployment } = service.keys
  expect(await rotateDeploymentKey(service.redis, deployment, { force: false })).toEqual({ left: 0 })
  expect(await post(before)).toBe(200)
  const rotated = await signerOf(service)
  const after = rotated.sign(rotated.tokens.url(job.id, 1), about(job, 'succeeded'))
  expect(after.url).not.toBe(before.url)
  // No process makes tokens with a key so new: by the time one does, all know it.
  await waitFor('the new key to be known', async () => (await post(after)) === 200)
  expect((await service.client.get(job.id)).status).toBe('succeeded')
  expect(await post(before)).toBe(200)
})

const deadLetters = (): Promise<number> => service.redis.xlen(service.keys.deadLetters)

describe('F39 a webhook that is not authentic changes nothing', () => {
  const cases: [what: string, change: (sent: SentWebhook, job: Job) => SentWebhook][] = [
    ['without a signature', (sent) => ({ ...sent, headers: { 'content-type': 'application/json' } })],
    [
      'with a forged signature',
      ({ headers, ...sent }) => ({
        ...sent,
        headers: { ...headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` },
      }),
    ],
    [
      'signed with another secret',
      (sent) => signed(sent.url, sent.body, { by: new Webhook(`whsec_${Buffer.alloc(24).toString('base64')}`) }),
    ],
    ['with another body', (sent) => ({ ...sent, body: sent.body.replace('hello x', 'hello y') })],
    ['with another id', ({ headers, ...sent }) => ({ ...sent, headers: { ...headers, 'webhook-id': 'msg_other' } })],
    ['replayed after five minutes', (sent) => signed(sent.url, sent.body, { at: new Date(Date.now() - 301_000) })],
    ['from the future', (sent) => signed(sent.url, sent.body, { at: new Date(Date.now() + 310_000) })],
    [
      'with a later time than was signed',
      ({ headers, ...sent }) => ({
        ...sent,
        headers: { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) },
      }),
    ],
    ['rightly signed, with a wrong token', (sent) => signed(sent.url.replace(/token=.{4}/, 'token=AAAA'), sent.body)],
    ['rightly signed, without a token', (sent) => signed(sent.url.replace(/token=.*/, ''), sent.body)],
    ['rightly signed, for another attempt', (sent) => signed(sent.url.replace('attempt=1', 'attempt=2'), sent.body)],
    [
      'rightly signed, with two jobs',
      (sent, job) => signed(`${sent.url}&job=${job.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'))}`, sent.body),
    ],
  ]
  test.each(cases)('%s: 401', async (_what, change) => {
    const job = await waiting()
    const before = await deadLetters()
    const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
    expect(await post(change(sent, job))).toBe(401)
    expect(await service.client.get(job.id)).toEqual(job)
    expect(await deadLetters()).toBe(before)
    // The same, untouched, is taken.
    expect(await post(sent)).toBe(200)
    expect((await service.client.get(job.id)).status).toBe('succeeded')
  })
})

describe('an authentic webhook', () => {
  test('finishes the job at once, and says so', async () => {
    const job = await waiting()
    expect(await post(signed(tokens.url(job.id, 1), about(job, 'processing')))).toBe(200)
    expect((await service.client.get(job.id)).status).toBe('processing')
    expect(await post(signed(tokens.url(job.id, 1), about(job, 'failed')))).toBe(200)
    expect(await service.client.get(job.id)).toMatchObject({ status: 'failed', error: { message: 'E000' } })
  })

  test('F34 fifty times at once is one finish', async () => {
    const job = await waiting()
    const before = Number(await service.redis.hget(service.keys.counters, 'jobs:succeeded'))
    const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(sent)))
    expect(answers).toEqual(Array(50).fill(200))
    const done = await service.client.get(job.id)
    expect(done).toMatchObject({ status: 'succeeded', output: 'hello x', rev: job.rev + 1 })
    expect(Number(await service.redis.hget(service.keys.counters, 'jobs:succeeded'))).toBe(before + 1)
  })

  test('F37 that comes late or out of order is taken and changes nothing', async () => {
    const job = await waiting()
    await post(signed(tokens.url(job.id, 1), about(job, 'succeeded')))
    const done = await service.client.get(job.id)
    for (const status of ['starting', 'processing', 'failed', 'canceled', 'succeeded'])
      expect(await post(signed(tokens.url(job.id, 1), about(job, status)))).toBe(200)
    expect(await service.client.get(job.id)).toEqual(done)
  })

  test('F38 for a job that was canceled leaves it canceled', async () => {
    const job = await waiting()
    expect((await service.client.cancel(job.id)).phase).toBe('stopping')
    await post(signed(tokens.url(job.id, 1), about(job, 'canceled')))
    const canceled = await service.client.get(job.id)
    expect(canceled.status).toBe('canceled')
    expect(await post(signed(tokens.url(job.id, 1), about(job, 'succeeded')))).toBe(200)
    expect(await service.client.get(job.id)).toEqual(canceled)
  })

  test('about another prediction of the attempt is an orphan, and is cancelled upstream', async () => {
    const job = await waiting()
    const before = Number(await service.redis.hget(service.keys.counters, 'orphan_predictions'))
    const twin = await waiting()
    const cancels = (await service.simulator.books()).counts.cancels
    expect(await post(signed(tokens.url(job.id, 1), about(twin, 'processing')))).toBe(200)
    expect(Number(await service.redis.hget(service.keys.counters, 'orphan_predictions'))).toBe(before + 1)
    await waitFor('the cancel', async () => (await service.simulator.books()).counts.cancels > cancels)
    expect(await service.client.get(job.id)).toMatchObject({ phase: 'created', prediction_id: job.prediction_id })
  })

  test('about an unknown job is taken and kept as a dead letter', async () => {
    const before = await deadLetters()
    const gone = `job_${'7'.repeat(26)}`
    expect(await post(signed(tokens.url(gone, 1), about({ prediction_id: 'p1' }, 'succeeded')))).toBe(200)
    expect(await deadLetters()).toBe(before + 1)
  })

  test.each([
    ['no JSON', 'this is not JSON'],
    ['JSON of something else', '{"hello": "world"}'],
    ['a list', '[]'],
    ['empty', ''],
    ['without an id', '{"status": "succeeded"}'],
    ['deep', `{"id": ${'['.repeat(5000)}${']'.repeat(5000)}, "status": "succeeded"}`],
  ])('B20 that is %s is taken and kept as a dead letter, and the prediction is asked for', async (_what, body) => {
    const job = await waiting()
    const [letters, gets] = [await deadLetters(), (await service.simulator.books()).counts.gets]
    expect(await post(signed(tokens.url(job.id, 1), body))).toBe(200)
    expect(await deadLetters()).toBe(letters + 1)
    await waitFor('a GET', async () => (await service.simulator.books()).counts.gets > gets)
    expect((await service.client.get(job.id)).phase).toBe('created')
  })

  test('B20 too large is refused; only with the right token the prediction is asked for at once', async () => {
    const job = await waiting()
    const { gets } = (await service.simulator.books()).counts
    const body = JSON.stringify(about(job, 'succeeded', { logs: 'x'.repeat(9_000_000) }))
    const due = (): Promise<string | null> => service.redis.zscore(service.keys.due, `attempt:${job.id}:1`)
    const before = await due()
    expect(await post(signed(tokens.url(job.id, 1).replace(/token=.{4}/, 'token=AAAA'), body))).toBe(401)
    expect(await due()).toBe(before)
    expect(await post(signed(tokens.url(job.id, 1), body))).toBe(413)
    await waitFor('a GET', async () => (await service.simulator.books()).counts.gets > gets)
  })

  test('B20 of 5 MB is taken', async () => {
    const job = await waiting()
    const logs = 'line of a log\n'.repeat(350_000)
    expect(await post(signed(tokens.url(job.id, 1), about(job, 'succeeded', { logs })))).toBe(200)
    expect((await service.client.get(job.id)).status).toBe('succeeded')
  })

  test('in a compressed body is refused', async () => {
    const job = await waiting()
    const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
    expect(await post({ ...sent, headers: { ...sent.headers, 'content-encoding': 'gzip' } })).toBe(415)
  })
})

describe('the signing secret', () => {
  function receiver(answers: (string | Error)[]) {
    const { redis, keys } = service
    const timings = { ...DEFAULT_TIMINGS, ...QUIET }
    const store = createRedisJobStore({
      redis,
      keys,
      timings,
      accounts: { default: { perMinute: 600, burst: 10 } },
      commits: createCommitRunner(redis, timings, createGeneration(redis, keys.generation, { gap: null })),
    })
    const log = createLogger({ level: 'silent', readable: false })
    let now = 0
    const secrets = createWebhookSecrets({
      configured: null,
      now: () => now,
      fetch: async () => {
        const answer = answers.length > 1 ? answers.shift() : answers[0]
        if (typeof answer !== 'string') throw answer
        return answer
      },
    })
    const lifecycle = createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => true })
    const receive = createWebhookReceiver({
      lifecycle,
      store,
      secretsOf: () => secrets,
      tokens,
      probes: { isOpen: () => Promise.resolve(false) },
      generation: () => '',
      ensureDeployment: () => Promise.resolve(),
      count: () => {},
      latency: () => {},
      throttle: createThrottle({ failuresPerMinute: 100 }),
      startHold: timings.startHold,
      log,
    })
    return {
      pass: (ms: number) => (now += ms),
      async receive({ url, headers, body }: SentWebhook): Promise<number | string> {
        try {
          const { take } = await receive({ query: new URL(url).searchParams, ip: '192.0.2.1' })
          const answer = await take({ headers, body: Buffer.from(body) })
          return typeof answer === 'number' ? answer : answer.probe
        } catch (error) {
          return error instanceof Error && 'code' in error ? String(error.code) : String(error)
        }
      },
    }
  }

  test('that is unknown does not refuse an event permanently', async () => {
    const job = await waiting()
    const sent = signed(tokens.url(job.id, 1), about(job, 'succeeded'))
    const { receive, pass } = receiver([new Error('away'), secret])
    expect(await receive(sent)).toBe('upstream_unavailable')
    expect(await receive(sent)).toBe('upstream_unavailable')
    pass(1000)
    expect(await receive(sent)).toBe(200)
    expect((await service.client.get(job.id)).status).toBe('succeeded')
  })

  test('F40 may rotate: old and new count while it does, the old one not after the next', async () => {
    const make = (fill: number): string => `whsec_${Buffer.alloc(24, fill).toString('base64')}`
    const [first, second, third] = [make(1), make(2), make(3)]
    const { receive, pass } = receiver([first, second, third])
    const job = await waiting()
    const by = (key: string): SentWebhook =>
      signed(tokens.url(job.id, 1), about(job, 'starting'), { by: new Webhook(key) })
    expect(await receive(by(first))).toBe(200)
    // Not known yet, and the last look was less than a minute ago.
    expect(await receive(by(second))).toBe('invalid_signature')
    pass(60_000)
    expect(await receive(by(second))).toBe(200)
    expect(await receive(by(first))).toBe(200)
    pass(60_000)
    expect(await receive(by(third))).toBe(200)
    expect(await receive(by(second))).toBe(200)
    expect(await receive(by(first))).toBe('invalid_signature')
  })
})

test('when Redis does not answer: 503, so that Replicate tries again, and then it counts', async () => {
  const redis = await startOwnRedis()
  const other = await startService({ redisUrl: redis.url, timings: QUIET })
  await other.simulator.faults({ webhooks: { drop: 1 }, predictions: { starting_forever: { probability: 1 } } })
  const theirs = await signerOf(other)
  const job = await waiting(other)
  const sent = theirs.sign(theirs.tokens.url(job.id, 1), about(job, 'succeeded'))
  redis.pause()
  expect(await post(sent)).toBe(503)
  redis.resume()
  await waitFor('the webhook to be taken', async () => (await post(sent)) === 200)
  await waitFor('the job to be final', async () => (await other.client.get(job.id)).status === 'succeeded')
  await other.stop()
  await redis.stop()
})
