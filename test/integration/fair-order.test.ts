import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Batch, Job } from '../../src/client/types.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** In which order the jobs of tenants begin, against the whole service. */

const JOBS = 60
const flux = (prompt: string): object => ({ model: 'black-forest-labs/flux-schnell', input: { prompt } })

let service: TestService
let operator: Operator
beforeAll(async () => {
  service = await startService({ env: { REPLICATE_CREATES_PER_MINUTE: '600' }, simulator: { speed: 50 } })
  operator = createOperator(service)
})
afterAll(() => service.stop())

const submittedAt = (job: Job): number => Date.parse(job.submitted_at ?? '')

test('a job of one tenant begins soon beside the many of another, and one of a batch beside interactive ones', async () => {
  const newKey = async (): Promise<string> => (await operator.newKey(await operator.newTenant())).key
  const [crowd, lone] = await Promise.all([newKey(), newKey()])
  const items = Array.from({ length: JOBS }, (_, i) => flux(`crowd ${i}`))
  const body = { defaults: { priority: 'interactive' }, items }
  const batch = await operator.ask<Batch>('/v1/batches', { key: crowd, body })
  expect(batch.status).toBe(202)
  const jobsOf = async (): Promise<Job[]> =>
    (await operator.ask<{ data: Job[] }>(`/v1/batches/${batch.body.id}/jobs?limit=100`, { key: crowd })).body.data
  await waitFor('some to have begun', async () => (await jobsOf()).filter((job) => job.submitted_at).length >= 15)
  const [single, patient] = await Promise.all(
    [{}, { priority: 'batch' }].map(async (how) => {
      const answer = await operator.ask<Job>('/v1/jobs', { key: lone, body: { ...flux('alone'), ...how } })
      expect(answer.status).toBe(202)
      return answer.body
    }),
  )
  if (!single || !patient) throw new Error('not accepted')
  const [begun, late] = await Promise.all([operator.finished(lone, single.id), operator.finished(lone, patient.id)])
  await waitFor('the crowd to end', async () => (await jobsOf()).every((job) => job.status === 'succeeded'))
  const crowded = (await jobsOf()).map(submittedAt)
  const before = (job: Job): number =>
    crowded.filter((at) => Date.parse(job.created_at) < at && at < submittedAt(job)).length
  // Those that the worker had taken already.
  expect(before(begun)).toBeLessThanOrEqual(20)
  expect(before(late)).toBeLessThanOrEqual(30)
  expect(JOBS - before(late)).toBeGreaterThan(0)
})

test('a waiting job shows how many start before it, which falls as they do', async () => {
  const crowd = await operator.newTenant()
  const [key, loneKey] = [(await operator.newKey(crowd)).key, (await operator.newKey(await operator.newTenant())).key]
  const forecastOf = async (id: string) => (await operator.ask<Job>(`/v1/jobs/${id}`, { key })).body.forecast
  const pause = { scope: `tenant:${crowd}`, reason: 'maintenance' }
  expect((await operator.ask('/v1/admin/pauses', { body: pause })).status).toBe(200)
  const items = Array.from({ length: 8 }, (_, i) => flux(`waiting ${i}`))
  const { body: batch } = await operator.ask<Batch>('/v1/batches', { key, body: { items } })
  const jobsOf = async (): Promise<Job[]> =>
    (await operator.ask<{ data: Job[] }>(`/v1/batches/${batch.id}/jobs`, { key })).body.data
  const all = await jobsOf()
  const last = all.at(-1)?.id ?? ''
  await waitFor('all to be in line', async () => (await forecastOf(last))?.position === 7)
  expect(await forecastOf(last)).toMatchObject({ starts_in: null })
  expect(await forecastOf(all[2]?.id ?? '')).toMatchObject({ position: 2 })
  expect(all[0]).not.toHaveProperty('forecast')
  const { body: lone } = await operator.ask<Job>('/v1/jobs', { key: loneKey, body: flux('alone again') })
  expect(lone.forecast).toMatchObject({ position: 0, starts_in: { p50: expect.any(Number), p90: expect.any(Number) } })
  const resumed = await operator.ask(`/v1/admin/pauses?scope=${encodeURIComponent(pause.scope)}`, { method: 'DELETE' })
  expect(resumed.status).toBe(204)
  await waitFor('it to fall', async () => ((await forecastOf(last))?.position ?? 0) < 7)
  await operator.finished(key, last)
  expect(await forecastOf(last)).toBeNull()
})

test('a job with a start time waits for it, and says so', async () => {
  const key = (await operator.newKey(await operator.newTenant())).key
  const not_before = new Date(Date.now() + 2000).toISOString()
  const { status, body } = await operator.ask<Job>('/v1/jobs', { key, body: { ...flux('later'), not_before } })
  expect(status).toBe(202)
  expect(body).toMatchObject({ not_before, waiting_for: { reason: 'scheduled', until: not_before } })
  expect(body.forecast).toMatchObject({ position: null, starts_in: { p50: expect.toSatisfy((s: number) => s <= 2) } })
  const job = await operator.finished(key, body.id)
  expect(submittedAt(job)).toBeGreaterThanOrEqual(Date.parse(not_before))
  const tooFar = new Date(Date.now() + 31 * 86_400_000).toISOString()
  const refused = await operator.ask('/v1/jobs', { key, body: { ...flux('never'), not_before: tooFar } })
  expect(refused.body).toMatchObject({
    code: 'invalid_request',
    errors: [{ pointer: '/not_before', code: 'too_far_ahead' }],
  })
})
