import { createHash } from 'node:crypto'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Job, JobManifest } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** The manifest of a job, and the same run once more. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let service: TestService
beforeAll(async () => {
  service = await startService({ simulator: { speed: 50 } })
})
afterAll(() => service.stop())

const call = (
  path: string,
  { headers, ...init }: { method?: string; body?: string; headers?: Record<string, string> } = {},
) =>
  fetch(new URL(path, service.url), {
    ...init,
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
  })

async function make(input: Record<string, string | number>): Promise<Job> {
  const { id } = await service.client.submit({ preset: 'training-image', input: { prompt: 'a hat', ...input } })
  return finished(service, id)
}

const digestOf = async (job: Job): Promise<string> => {
  const bytes = await (await fetch(job.artifacts[0]?.url ?? '')).arrayBuffer()
  return createHash('sha256').update(new Uint8Array(bytes)).digest('hex')
}

test('a manifest names the model, input, cost and outputs, as its schema describes', async () => {
  const job = await make({})
  const manifest = await service.client.manifest(job.id)
  expect(manifest).toMatchObject({
    job: job.id,
    status: 'succeeded',
    preset: 'training-image',
    requested: { model: job.model, version: job.version, deployment: null },
    prediction_id: job.prediction_id,
    input: job.input,
    cost: { captured: 32_000 },
    error: null,
    created_at: job.created_at,
    completed_at: job.completed_at,
  })
  expect(manifest.seed).toEqual(expect.any(Number))
  expect(manifest.artifacts).toEqual([
    expect.objectContaining({ sha256: await digestOf(job), media_type: 'image/jpeg' }),
  ])
  expect(JSON.stringify(manifest)).not.toContain('signature=')

  const document = (await (await call('/openapi.json')).json()) as {
    components: { schemas: { JobManifest: { properties: object } } }
  }
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'api')
  const validate = ajv.compile({ $ref: 'api#/components/schemas/JobManifest' })
  expect(validate(manifest) ? null : validate.errors).toBeNull()
  expect(Object.keys(manifest).sort()).toEqual(Object.keys(document.components.schemas.JobManifest.properties).sort())
})

test('its hash is the same for the same input in another order, and outlives the input', async () => {
  const manifests: JobManifest[] = []
  for (const input of [
    { seed: 1, guidance: 2 },
    { guidance: 2, seed: 1 },
    { guidance: 2, seed: 2 },
  ])
    manifests.push(await service.client.manifest((await make(input)).id))
  const [first, second, third] = manifests.map(({ input_sha256 }) => input_sha256)
  expect(first).toBe(second)
  expect(first).not.toBe(third)
  // As if a day had passed.
  const { redis, keys } = service
  const id = manifests[0]?.job ?? ''
  await redis.hset(keys.job(id), 'completed_at', String(Date.now() - 25 * 3_600_000))
  await redis.zadd(keys.retention, 0, id)
  await waitFor('the input to be removed', async () => (await service.client.get(id)).input === null)
  expect(await service.client.manifest(id)).toMatchObject({ input: null, input_sha256: first, seed: 1 })
})

test('the same run once more has its seed and version, and gives the same picture', async () => {
  const job = await make({})
  const { seed, version } = await service.client.manifest(job.id)
  const again = await finished(service, (await service.client.retry(job.id, { pinned: true })).id)
  expect(again).toMatchObject({ retry_of: job.id, input: { ...job.input, seed } })
  expect(await digestOf(again)).toBe(await digestOf(job))
  const plain = await finished(service, (await service.client.retry(job.id)).id)
  expect(await digestOf(plain)).not.toBe(await digestOf(job))
  expect((await service.client.manifest(again.id)).version).toBe(version)
})

test('a version that was resolved is requested again; an explicitly requested version stays', async () => {
  const { id } = await service.client.submit({ version: HELLO, input: { text: 'pinned' } })
  await finished(service, id)
  expect((await service.client.manifest(id)).version).toBe(HELLO)
  const again = await finished(service, (await service.client.retry(id, { pinned: true })).id)
  expect(again).toMatchObject({ version: HELLO, status: 'succeeded', output: 'hello pinned' })
})

test('pinned or not are different requests; what cannot be pinned is refused', async () => {
  const job = await make({})
  const key = { 'idempotency-key': 'again' }
  const first = await call(`/v1/jobs/${job.id}/retry?pinned=true`, { method: 'POST', headers: key })
  expect(first.status).toBe(202)
  const { id } = (await first.json()) as Job
  const body = JSON.stringify({ pinned: true })
  const second = await call(`/v1/jobs/${job.id}/retry`, { method: 'POST', headers: key, body })
  expect(((await second.json()) as Job).id).toBe(id)
  expect((await call(`/v1/jobs/${job.id}/retry`, { method: 'POST', headers: key })).status).toBe(422)
  for (const wrong of ['{"pinned":"yes"}', '{"seed":1}', '[]'])
    expect((await call(`/v1/jobs/${job.id}/retry`, { method: 'POST', body: wrong })).status).toBe(422)
  expect((await call(`/v1/jobs/${job.id}/retry?pinned=maybe`, { method: 'POST' })).status).toBe(422)
  // An official model of text: neither a version nor a seed.
  const talk = await service.client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'one word' } })
  await finished(service, talk.id)
  const refused = await call(`/v1/jobs/${talk.id}/retry`, { method: 'POST', body })
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([409, 'not_retryable'])
  await finished(service, id)
})

test('the manifest of a job that did not begin holds the request; that of a foreign job does not exist', async () => {
  await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
  const { id } = await service.client.submit({ version: HELLO, input: { text: 'x' } })
  expect(await service.client.manifest(id)).toMatchObject({
    version: null,
    seed: null,
    artifacts: [],
    completed_at: null,
  })
  expect((await call('/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV/manifest')).status).toBe(404)
  expect((await fetch(`${service.url}/v1/jobs/${id}/manifest`)).status).toBe(401)
  await service.client.cancel(id)
})
