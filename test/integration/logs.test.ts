import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JobLogs } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { code, createOperator, type Operator } from '../support/operator.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** What a model wrote while it ran, asked of Replicate. */

const MODEL = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'tell me' } }

let service: TestService
let operator: Operator

beforeAll(async () => {
  service = await startService()
  operator = createOperator(service)
})
afterAll(() => service.stop())

const gets = async (): Promise<number> => (await service.simulator.books()).counts.gets

test('the logs of a run are read once for all who look at it', async () => {
  const { id } = await service.client.submit(MODEL)
  await finished(service, id)
  const before = await gets()
  const answers = await Promise.all([1, 2, 3].map(() => service.client.logs(id)))
  for (const answer of answers) {
    expect(answer.logs).toContain('Using seed')
    expect(answer.truncated).toBe(false)
  }
  expect((await gets()) - before).toBe(1)
})

test('once Replicate has forgotten them, or does not answer, that is said', async () => {
  const { id } = await service.client.submit(MODEL)
  await finished(service, id)
  await service.simulator.faults({ get: { status: { next: 1, code: 500 } } })
  expect(code(await operator.ask(`/v1/jobs/${id}/logs`))).toEqual([503, 'upstream_unavailable'])
  await service.simulator.advance(3700)
  const gone = await waitFor('the logs to be gone', async () => {
    const { body } = await operator.ask<JobLogs>(`/v1/jobs/${id}/logs`)
    return body.logs === null && body
  })
  expect(gone).toEqual({ logs: null, truncated: false })

  // Those of a job of Replicate's own API are kept here.
  const { redis, keys } = service
  const order = JSON.parse((await redis.get(keys.order(id))) ?? '') as object
  await redis.set(keys.order(id), JSON.stringify({ ...order, via: 'replicate' }))
  await redis.set(keys.logs(id), 'step 1')
  expect(await service.client.logs(id)).toEqual({ logs: 'step 1', truncated: false })
  await redis.set(keys.logs(id), 'x'.repeat(65_536))
  expect((await service.client.logs(id)).truncated).toBe(true)
})

test('they are the tenant’s only', async () => {
  const { id } = await service.client.submit(MODEL)
  const { key } = await operator.newKey(await operator.newTenant())
  expect(code(await operator.ask(`/v1/jobs/${id}/logs`, { key }))).toEqual([404, 'not_found'])
  expect((await operator.ask(`/v1/jobs/${id}/logs`, { key: TEST_KEY })).status).toBe(200)
})

// The last one: a 429 pauses creation for all that come after.
test('a job without a prediction has none, and Replicate is not called', async () => {
  await service.simulator.faults({ create: { status: { next: 1, code: 429 } } })
  const { id } = await service.client.submit(MODEL)
  const before = await gets()
  expect(await service.client.logs(id)).toEqual({ logs: null, truncated: false })
  expect(await gets()).toBe(before)
})
