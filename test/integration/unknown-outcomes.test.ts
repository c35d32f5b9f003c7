import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { rotateDeploymentKey } from '../../src/shared/redis/deployment.ts'
import { finished, inPhase, submitMany } from '../support/finished.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const GEMINI = 'google/gemini-3-pro'

let service: TestService
beforeAll(async () => {
  service = await startService({ timings: SHORT_TIMINGS })
})
afterAll(() => service.stop())
afterEach(async () => {
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
})

const rowsOf = async (id: string): Promise<string[]> =>
  (await service.simulator.books()).predictions.filter((row) => row.webhook?.includes(id)).map(({ id }) => id)
const hello = (text: string, more: object = {}): Promise<Job> =>
  service.client.submit({ version: HELLO, input: { text }, ...more })
const call = async (method: string, path: string): Promise<{ status: number; body: Job }> => {
  const response = await fetch(service.url + path, { method, headers: { authorization: `Bearer ${TEST_KEY}` } })
  return { status: response.status, body: (await response.json()) as Job }
}

describe('when the answer of a create and every webhook are lost', () => {
  test('a prediction that exists is adopted by listing', async () => {
    await service.simulator.faults({ create: { cut_after_accept: { next: 1 } }, webhooks: { drop: 1 } })
    const { id } = await hello('found')
    const job = await finished(service, id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1, output: 'hello found' })
    expect(await rowsOf(id)).toEqual([job.prediction_id])
    const { body } = await call('GET', `/v1/jobs/${id}?include=history`)
    const causes = body.history?.map(({ phase, cause }) => `${phase} by ${cause}`)
    expect(causes).toEqual(['queued by api', 'submitting by worker', 'unknown by create', 'succeeded by list'])
  })

  test('a prediction that does not exist is made by a next attempt, after two complete listings', async () => {
    await service.simulator.faults({ create: { cut_before_accept: { next: 1 } } })
    const { id } = await hello('absent')
    expect((await inPhase(service, id, 'unknown')).status).toBe('queued')
    const job = await finished(service, id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 2 })
    expect(await rowsOf(id)).toEqual([job.prediction_id])
    const listed = await service.redis.hmget(service.keys.job(id), '1.outcome', '1.state')
    expect(listed).toEqual(['not_created', 'closed'])
  })

  test('listings that fail prove nothing', async () => {
    await service.simulator.faults({
      create: { cut_before_accept: { next: 1 } },
      list: { status: { code: 503, next: 6 } },
    })
    const { id } = await hello('unlisted')
    await waitFor('failed listings', async () => (await service.simulator.books()).counts.lists > 6 || undefined)
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded', attempt: 2 })
  })

  test('a prediction that carries a token of the key before is adopted by listing', async () => {
    await service.simulator.faults({
      create: { cut_after_accept: { next: 1 } },
      webhooks: { drop: 1 },
      list: { status: { code: 503, next: 1000 } },
    })
    const { id } = await hello('older key')
    await inPhase(service, id, 'unknown')
    await rotateDeploymentKey(service.redis, service.keys.deployment, { force: false })
    await service.simulator.faults({ list: null })
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded', attempt: 1 })
  })

  test('and upstream hides the webhook, the one that fits is adopted', async () => {
    await service.simulator.faults({
      create: { cut_after_accept: { next: 1 } },
      get: { hide_webhook: 1 },
      list: { hide_webhook: 1 },
      webhooks: { drop: 1 },
    })
    const { id } = await hello('hidden one')
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded', attempt: 1 })
  })

  test('a canceled job ends, and what surfaces later is canceled upstream and counted', async () => {
    await service.simulator.faults({
      create: { cut_after_accept: { next: 1 } },
      webhooks: { drop: 1 },
      list: { status: { code: 503 } },
    })
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'long' } })
    await inPhase(service, id, 'unknown')
    await service.client.cancel(id)
    expect(await finished(service, id)).toMatchObject({ status: 'canceled', error: { billed: 'unknown' } })
    await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
    await waitFor('the late prediction to be canceled', async () => {
      const row = (await service.simulator.books()).predictions.find((one) => one.webhook?.includes(id))
      return row?.status === 'canceled'
    })
    expect(Number(await service.redis.hget(service.keys.counters, 'orphan_predictions'))).toBeGreaterThan(0)
    expect((await service.client.get(id)).status).toBe('canceled')
  })
})

describe('undecidable outcomes', () => {
  let hasty: TestService
  beforeAll(async () => {
    hasty = await startService({ timings: { ...SHORT_TIMINGS, undecidable: 6000 } })
    // A new deployment creates nothing before it could list once.
    const { id } = await hasty.client.submit({ version: HELLO, input: { text: 'opens the gate' } })
    await finished(hasty, id)
    await hasty.simulator.faults({ list: { status: { code: 503 } } })
  })
  afterAll(() => hasty.stop())

  test('fail the job by default, and say that the bill is unknown', async () => {
    await hasty.simulator.faults({ create: { cut_before_accept: { next: 1 } } })
    const { id } = await hasty.client.submit({ version: HELLO, input: { text: 'fail' } })
    expect(await finished(hasty, id)).toMatchObject({
      status: 'failed',
      error: { code: 'outcome_unknown', billed: 'unknown' },
    })
  })

  test('are tried again when the job says so', async () => {
    await hasty.simulator.faults({ create: { cut_before_accept: { next: 1 } } })
    const { id } = await hasty.client.submit({ version: HELLO, input: { text: 'retry' }, on_unknown: 'retry' })
    expect(await finished(hasty, id)).toMatchObject({ status: 'succeeded', attempt: 2 })
  })
})

describe('failures', () => {
  test('of the platform are made good inside the job', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 2 } } })
    const { id } = await hello('again')
    const job = await finished(service, id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 3, output: 'hello again' })
    expect(await rowsOf(id)).toHaveLength(3)
    const { body } = await call('GET', `/v1/jobs/${id}?include=history`)
    const phases = body.history?.map(({ phase }) => phase) ?? []
    expect(phases.filter((phase) => phase === 'resubmitting').length).toBeGreaterThanOrEqual(2)
    const order = ['queued', 'starting', 'processing', 'succeeded']
    const statuses = body.history?.map(({ status }) => order.indexOf(status)) ?? []
    expect(statuses).toEqual([...statuses].sort((a, b) => a - b))
  })

  test('of the platform that persist are reported', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 3 } } })
    const { id } = await hello('never')
    expect(await finished(service, id)).toMatchObject({
      status: 'failed',
      attempt: 3,
      error: { code: 'platform_interrupted', billed: 'no' },
    })
  })

  test('of flagged content are never tried again', async () => {
    const error = 'The input or output was flagged as sensitive. Please try again with different inputs. (E005) (abc)'
    await service.simulator.faults({ predictions: { fail: { next: 1, error } } })
    const { id } = await hello('flagged')
    expect(await finished(service, id)).toMatchObject({
      status: 'failed',
      attempt: 1,
      error: { code: 'content_flagged' },
    })
  })

  test('F31 a prediction that Replicate forgot is lost', async () => {
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'forgotten' } })
    await inPhase(service, id, 'running')
    await service.simulator.faults({ get: { not_found: 1 }, webhooks: { drop: 1 }, list: { status: { code: 503 } } })
    expect(await finished(service, id)).toMatchObject({
      status: 'failed',
      error: { code: 'provider_lost', billed: 'unknown' },
    })
  })

  test('however many Replicate forgot: what a complete list does not show is asked for by itself', async () => {
    const ids = await submitMany(service, 12, (i) => ({ model: GEMINI, input: { prompt: `forgotten ${i}` } }))
    for (const id of ids) await inPhase(service, id, 'running')
    await service.simulator.faults({ get: { not_found: 1 }, webhooks: { drop: 1 }, list: { empty: 1 } })
    const jobs = await Promise.all(ids.map((id) => finished(service, id)))
    expect(jobs.map(({ error }) => error?.code)).toEqual(ids.map(() => 'provider_lost'))
    expect(await service.redis.scard(service.keys.open('default'))).toBe(0)
  })

  test('can be tried again as a new job that names the old one', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no luck' } } })
    const { id } = await hello('first')
    await finished(service, id)
    const retried = await call('POST', `/v1/jobs/${id}/retry`)
    expect(retried.status).toBe(202)
    expect(retried.body).toMatchObject({ retry_of: id, input: { text: 'first' } })
    expect(await finished(service, retried.body.id)).toMatchObject({ status: 'succeeded', output: 'hello first' })
    const running = await service.client.submit({ model: GEMINI, input: { prompt: 'x' } })
    expect((await call('POST', `/v1/jobs/${running.id}/retry`)).status).toBe(409)
    await service.client.cancel(running.id)
    await finished(service, running.id)
  })
})

describe('upstream trouble', () => {
  test('stops creation after three faults, and jobs go on when it is over', async () => {
    await service.simulator.faults({ create: { status: { code: 503 } }, account: { status: { code: 503 } } })
    const ids = await submitMany(service, 12, (i) => ({ version: HELLO, input: { text: `trouble ${i}` } }))
    const waiting = await waitFor('a job to wait for upstream', async () => {
      const jobs = await Promise.all(ids.map((id) => service.client.get(id)))
      return jobs.find(({ waiting_for }) => waiting_for?.reason === 'upstream')
    })
    expect(waiting.status).toBe('queued')
    const asked = (await service.simulator.books()).counts.create_requests
    expect((await service.simulator.books()).counts.create_requests - asked).toBeLessThanOrEqual(1)
    await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
    const jobs = await Promise.all(ids.map((id) => finished(service, id)))
    expect(jobs.map(({ status }) => status)).toEqual(ids.map(() => 'succeeded'))
    for (const id of ids) expect(await rowsOf(id)).toHaveLength(1)
  })

  test('a refused account pauses creation and resumes by itself; no attempt is burned meanwhile', async () => {
    await service.simulator.faults({ create: { status: { code: 402 } }, account: { status: { code: 402 } } })
    const { id } = await hello('credit')
    await waitFor('the job to wait for the account after its attempt', async () => {
      const now = await service.client.get(id)
      return now.waiting_for?.reason === 'account' && now.attempt === 1
    })
    await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
    expect(await finished(service, id)).toMatchObject({ status: 'succeeded', attempt: 2 })
  })
})

test('many open predictions are looked at by listing, not one by one', async () => {
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const before = (await service.simulator.books()).counts
  const ids = await submitMany(service, 120, (i) => ({ version: HELLO, input: { text: `listed ${i}` } }))
  const jobs = await Promise.all(ids.map((id) => finished(service, id)))
  expect(jobs.every(({ status }) => status === 'succeeded')).toBe(true)
  const after = (await service.simulator.books()).counts
  expect(after.created - before.created).toBe(120)
  expect(after.gets - before.gets).toBeLessThan(60)
})
