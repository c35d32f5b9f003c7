import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { auditReport } from '../support/audit.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'

/** The quota of stored files over HTTP. */

let service: TestService
let operator: Operator

beforeAll(async () => {
  service = await startService({ timings: PATIENT_TIMINGS, simulator: { speed: 200 } })
  operator = createOperator(service)
})
afterAll(() => service.stop())

const REQUEST = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'a lake', megapixels: '0.25' } }

test('a tenant at its limit gets 429 with limit and usage for all new work, until it deletes a job', async () => {
  const tenant = await operator.newTenant({ stored_files: 1 })
  const { key } = await operator.newKey(tenant)
  const stored = async () =>
    (await operator.ask<{ stored: { bytes: number; files: number } }>(`/v1/admin/tenants/${tenant}`)).body.stored
  const submit = (name: string) =>
    operator.ask<Job>('/v1/jobs', { key, body: REQUEST, headers: { 'idempotency-key': name } })
  expect(await stored()).toEqual({ bytes: 0, files: 0 })
  const first = await submit('first')
  expect(first.status).toBe(202)
  const job = await operator.finished(key, first.body.id)
  const files = job.artifacts.length
  expect(files).toBeGreaterThan(0)
  const used = await stored()
  expect(used.files).toBeGreaterThanOrEqual(files)
  expect(used.bytes).toBeGreaterThanOrEqual(job.artifacts.reduce((sum, { bytes }) => sum + bytes, 0))

  const form = new FormData()
  form.set('file', new Blob(['words'], { type: 'text/plain' }), 'a.txt')
  const upload = await fetch(`${service.url}/v1/uploads`, {
    method: 'POST',
    body: form,
    headers: { authorization: `Bearer ${key}` },
  })
  const refused = { code: 'too_much_stored', limit: 'stored_files', allowed: 1, used: used.files }
  expect(upload.status).toBe(429)
  expect(await upload.json()).toMatchObject(refused)
  expect(await submit('second')).toMatchObject({ status: 429, body: refused })
  expect(await operator.ask('/v1/batches', { key, body: { items: [REQUEST, REQUEST] } })).toMatchObject({
    status: 429,
    body: refused,
  })
  expect(await operator.ask(`/v1/jobs/${job.id}/retry`, { key, method: 'POST' })).toMatchObject({
    status: 429,
    body: refused,
  })
  expect(await submit('first')).toMatchObject({ status: 202, body: { id: job.id } })

  expect((await operator.ask(`/v1/jobs/${job.id}`, { key, method: 'DELETE' })).status).toBe(204)
  expect(await stored()).toEqual({ bytes: 0, files: 0 })
  const second = await submit('second')
  expect(second.status).toBe(202)
  await operator.finished(key, second.body.id)
  const { redis, keys } = service
  expect((await auditReport({ redis, keys })).findings).toEqual([])
})
