import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { decodeHistory } from '../../src/shared/jobs/record/record-codec.ts'
import { finished, inPhase } from '../support/finished.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Predictions end in odd ways, or their webhooks do. Numbers are those of docs/failure-modes.md's list of tests. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const POLL = { first: 300, min: 300, max: 1000 }

let service: TestService
/** Ends when Replicate aborts it, 5 s from now: the other tests run meanwhile. */
let neverStarted: string
beforeAll(async () => {
  service = await startService({
    // The prediction's index goes soon after the end, as it does two hours after it in production.
    timings: { ...SHORT_TIMINGS, pollWithWebhooks: POLL, keepPredictionIndex: 200 },
    simulator: { speed: 20 },
  })
  await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
  neverStarted = (await service.client.submit(hello('never starts', { timeout: 5 }))).id
  await inPhase(service, neverStarted, 'created')
})
afterAll(() => service.stop())
afterEach(async () => {
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
})

const hello = (text: string, more: Partial<JobRequest> = {}): JobRequest => ({
  version: HELLO,
  input: { text },
  ...more,
})
const long = (prompt: string): JobRequest => ({ model: 'google/gemini-3-pro', input: { prompt } })
const upstream = async (method: string, path: string): Promise<{ status: string; completed_at: string | null }> => {
  const response = await fetch(`${service.simulator.apiUrl}/predictions/${path}`, {
    method,
    headers: { authorization: 'Bearer test' },
  })
  return (await response.json()) as { status: string; completed_at: string | null }
}
const endedUpstream = (job: Job): Promise<number> =>
  waitFor('the end upstream', async () => {
    const { completed_at } = await upstream('GET', job.prediction_id ?? '')
    return completed_at !== null && completed_at !== undefined && Date.parse(completed_at)
  })
const delivered = async (): Promise<number> => (await service.simulator.books()).webhooks.delivered

test('F33 a job whose webhook is lost is finished by polling', async () => {
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const { id } = await service.client.submit(hello('F33'))
  const job = await finished(service, id)
  expect(job.status).toBe('succeeded')
  const hash = await service.redis.hgetall(service.keys.job(id))
  expect(decodeHistory(Object.entries(hash).flat()).at(-1)?.entry.cause).toBe('poll')
})

test('F35 a webhook that comes long after polling has finished the job, and its index is gone, changes nothing', async () => {
  await service.simulator.faults({ webhooks: { delay: { seconds: 8, events: ['completed'] } } })
  const { id } = await service.client.submit(hello('F35'))
  const { prediction_id } = await finished(service, id)
  const before = await delivered()
  const index = service.keys.prediction('default', prediction_id ?? '')
  await waitFor('the index to go', async () => (await service.redis.exists(index)) === 0)
  const done = await service.client.get(id)
  expect(done.status).toBe('succeeded')
  await waitFor('the webhook', async () => (await delivered()) > before)
  expect(await service.client.get(id)).toEqual(done)
  expect((await service.simulator.books()).webhooks.failed).toBe(0)
  expect(await service.redis.exists(index)).toBe(0)
})

describe('a prediction', () => {
  test('F30 that is canceled at Replicate fails its job, and says so', async () => {
    const { id } = await service.client.submit(long('F30 canceled'))
    const { prediction_id } = await inPhase(service, id, 'running')
    expect((await upstream('POST', `${prediction_id}/cancel`)).status).toBe('canceled')
    expect(await finished(service, id)).toMatchObject({
      status: 'failed',
      error: { code: 'canceled_upstream', retryable: true, billed: 'yes' },
    })
  })

  test.each([
    ['alone', 1],
    ['among several, which are listed', 6],
  ])('F30 whose status is not recognized is polled until it is, %s', async (_how, count) => {
    const fault = { odd_status: { word: 'queued2' } }
    await service.simulator.faults({ webhooks: { drop: 1 }, get: fault, list: fault })
    const jobs = await Promise.all(Array.from({ length: count }, (_, i) => service.client.submit(hello(`F30 ${i}`))))
    for (const { id } of jobs) await endedUpstream(await inPhase(service, id, 'created'))
    const looks = async (): Promise<number> => {
      const { gets, lists } = (await service.simulator.books()).counts
      return gets + lists
    }
    const before = await looks()
    await waitFor('looks at it', async () => (await looks()) >= before + 2)
    for (const { id } of jobs) expect((await service.client.get(id)).phase).toBe('created')
    await service.simulator.faults({ get: null, list: null })
    for (const { id } of jobs) expect((await finished(service, id)).status).toBe('succeeded')
  })

  test('F30 that is aborted before it began fails its job, free of charge', async () => {
    expect(await finished(service, neverStarted)).toMatchObject({
      status: 'failed',
      error: { code: 'timeout', retryable: true, billed: 'no' },
    })
    const { prediction_id } = await service.client.get(neverStarted)
    expect((await upstream('GET', prediction_id ?? '')).status).toBe('aborted')
  })
})
