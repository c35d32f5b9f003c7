import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Job, JobManifest, JobRequest, Page } from '../../src/client/types.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { rotateLinkKey } from '../../src/shared/redis/deployment.ts'
import { auditReport } from '../support/audit.ts'
import { finished } from '../support/finished.ts'
import { code, createOperator, type Operator } from '../support/operator.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** How long jobs and their files are kept, and links that outlive the record. Time passes by moving a job's end back. */

const HOUR = 3_600_000
const DAY = 24 * HOUR

const dataDir = tempDir()
let service: TestService
let operator: Operator

beforeAll(async () => {
  const presets = tempDir()
  const file = {
    name: 'album',
    title: 'album',
    model: 'black-forest-labs/flux-schnell',
    input: { default: { megapixels: '1' }, overrides: ['prompt', 'num_outputs'] },
    schema: 'model',
    policies: { keep: { payload: '2h', files: 'forever' }, overrides: ['keep'] },
  }
  writeFileSync(join(presets, 'album.yaml'), JSON.stringify(file))
  const strict = { ...file, name: 'strict', policies: { keep: { files: '30d' } } }
  writeFileSync(join(presets, 'strict.yaml'), JSON.stringify(strict))
  service = await startService({
    timings: PATIENT_TIMINGS,
    simulator: { speed: 50 },
    env: { DATA_DIR: dataDir, PRESETS_DIR: presets, KEEP_JOB_MAX: '30d', KEEP_FILES_MAX: '60d' },
  })
  operator = createOperator(service)
})
afterAll(() => service.stop())

const RAW = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'a lake', megapixels: '1' } }
const ALBUM = { preset: 'album', input: { prompt: 'a lake' } }

async function made(request: object): Promise<Job> {
  const { id } = await service.client.submit(request as JobRequest)
  return finished(service, id)
}

/** Moves the end of a job into the past by the given ms; what is due then is removed soon. */
async function age(id: string, ms: number): Promise<void> {
  const { redis, keys } = service
  const isBatch = id.startsWith('bat_')
  await redis.hset(isBatch ? keys.batch(id) : keys.job(id), 'completed_at', String(Date.now() - ms))
  await redis.zadd(keys.retention, 'XX', 0, id)
}

const isGone = (id: string) =>
  waitFor(`${id} to be gone`, async () => (await service.redis.exists(service.keys.job(id))) === 0)
const read = (path: string | null, headers: Record<string, string> = {}) =>
  fetch(new URL(path ?? '', service.url), { headers })
const filesOf = (job: Job): string => join(dataDir, 'artifacts', job.tenant, job.id)
const lasting = (id: string): Promise<Job> => jobBy(`/v1/jobs/${id}?links=lasting`)
const jobBy = async (path: string): Promise<Job> => (await operator.ask<Job>(path)).body
async function findings(): Promise<string[]> {
  const { redis, keys } = service
  const artifacts = createDiskArtifactStore(join(dataDir, 'artifacts'))
  const report = await auditReport({ redis, keys, artifacts })
  return report.findings.map(({ invariant, id }) => `${invariant} ${id}`)
}

describe('what counts', () => {
  test('is shown by the job, with the times at which its parts go', async () => {
    const job = await made({ ...RAW, keep: { files: '10d' } })
    const until = (at: string | null | undefined): number => Date.parse(at ?? '') - Date.parse(job.completed_at ?? '')
    expect(job.keep).toEqual({ payload: '1d', job: '7d', files: '10d' })
    expect(until(job.payload_expires_at)).toBe(DAY)
    expect(until(job.expires_at)).toBe(7 * DAY)
    expect(until(job.artifacts[0]?.expires_at)).toBe(10 * DAY)
    const again = await service.client.retry(job.id)
    expect(again).toMatchObject({ keep: job.keep, expires_at: null, payload_expires_at: null })
    await finished(service, again.id)
  })

  test('comes from preset and tenant, and a job asks within it', async () => {
    const tenant = await operator.newTenant()
    const path = `/v1/admin/tenants/${tenant}`
    const changed = await operator.ask<{ keep: object }>(path, { body: { keep: { files: '20d', payload: '90m' } } })
    expect(changed.body.keep).toEqual({ payload: '90m', job: null, files: '20d' })
    const { key } = await operator.newKey(tenant)
    const keepOf = async (request: object) => {
      const job = await operator.finished(key, await operator.submit(key, request))
      return Object.values(job.keep).join(' ')
    }
    expect(await keepOf(ALBUM)).toBe('90m 7d 20d')
    expect(await keepOf({ ...ALBUM, keep: { job: '2h', files: '3h' } })).toBe('90m 2h 3h')
    const refused = await operator.ask('/v1/jobs', { key, body: { ...ALBUM, keep: { files: 'forever', job: '21d' } } })
    expect(code(refused)).toEqual([422, 'invalid_request'])
    expect(refused.body.errors?.map(({ pointer, detail }) => [pointer, detail])).toEqual([
      ['/keep/files', 'The limit is 20d (set for the tenant).'],
    ])
    expect(code(await operator.ask(path, { body: { keep: { job: '30d' } } }))).toEqual([422, 'invalid_request'])
    expect(code(await operator.ask(path, { body: { keep: { job: 'forever' } } }))).toEqual([422, 'invalid_request'])
    const reset = await operator.ask<{ keep: object }>(path, { body: { keep: { files: null } } })
    expect(reset.body.keep).toEqual({ payload: '90m', job: null, files: null })
  })

  test.each<[string, object, string, string]>([
    [
      'more than anybody allows',
      { ...RAW, keep: { files: '61d' } },
      '/keep/files',
      'The limit is 60d (KEEP_FILES_MAX).',
    ],
    ['a record for good', { ...RAW, keep: { job: 'forever' } }, '/keep/job', 'Forever is for files only.'],
    ['no duration', { ...RAW, keep: { payload: '1 day' } }, '/keep/payload', 'Expected a whole number'],
    ['files that go first', { ...RAW, keep: { job: '3d', files: '2d' } }, '/keep/files', 'as long as the record'],
    ['what the preset decides', { ...ALBUM, preset: 'strict', keep: { files: '1d' } }, '/keep', 'The preset sets'],
    ['another clock', { ...RAW, keep: { all: '1d' } }, '/keep/all', 'Unknown field.'],
  ])('%s is refused by its field, also in a batch', async (_name, request, pointer, words) => {
    const one = await operator.ask('/v1/jobs', { body: request })
    expect(one.body.errors).toMatchObject([{ pointer, detail: expect.stringContaining(words) as string }])
    const many = await operator.ask('/v1/batches', { body: { items: [RAW, request] } })
    expect(many.body.errors).toMatchObject([{ pointer: `/items/1${pointer}` }])
  })
})

describe('a record that goes', () => {
  test('leaves files that are kept for good where they are, with their folder and their lasting links', async () => {
    const job = await made({ ...ALBUM, input: { prompt: 'a lake', num_outputs: 2 } })
    expect(job.keep.files).toBe('forever')
    const [artifact] = job.artifacts
    expect(artifact?.expires_at).toBeNull()
    const [linked] = (await lasting(job.id)).artifacts
    const before = Buffer.from(await (await read(artifact?.url ?? '')).arrayBuffer())
    const names = readdirSync(filesOf(job), { recursive: true }).sort()
    await age(job.id, 8 * DAY)
    await isGone(job.id)
    expect(readdirSync(filesOf(job), { recursive: true }).sort()).toEqual(names)
    expect(await service.redis.zscore(service.keys.retention, `files:${job.id}`)).toBeNull()
    expect((await service.redis.keys(`${service.keys.tag}*${job.id}*`)).length).toBe(0)
    expect(await findings()).toEqual([])
    expect((await read(artifact?.url ?? '')).status).toBe(404)

    const url = linked?.url ?? ''
    const whole = await read(url)
    expect(whole.status).toBe(200)
    expect(whole.headers.get('content-type')).toBe(artifact?.media_type)
    expect(whole.headers.get('content-disposition')).toBe(`inline; filename="${artifact?.name}"`)
    expect(Buffer.from(await whole.arrayBuffer()).equals(before)).toBe(true)
    const etag = whole.headers.get('etag') ?? ''
    expect(etag).toBe(`"${artifact?.sha256}"`)
    const part = await read(url, { range: 'bytes=0-3' })
    expect(part.status).toBe(206)
    expect(Buffer.from(await part.arrayBuffer()).equals(before.subarray(0, 4))).toBe(true)
    expect(part.headers.get('content-range')).toBe(`bytes 0-3/${before.length}`)
    expect((await read(url, { 'if-none-match': etag })).status).toBe(304)
    expect((await read(`${url}&download=1`)).headers.get('content-disposition')).toMatch(/^attachment; /)
    const head = await fetch(service.url + url, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(before.length)])
    const small = await read(linked?.thumbnail_url ?? '')
    expect([small.status, small.headers.get('content-type')]).toEqual([200, 'image/webp'])

    // The link ends with the file, also for who has it already.
    rmSync(filesOf(job), { recursive: true })
    for (const headers of [{}, { 'if-none-match': etag }]) {
      const gone = await operator.ask(url, { key: null, headers })
      expect(code(gone)).toEqual([404, 'not_found'])
      expect(gone.body.detail).toContain('was removed')
    }
  })

  test('leaves files with a time of their own, which go then; the audit watches over them', async () => {
    const { redis, keys } = service
    const job = await made({ ...RAW, keep: { job: '1d', files: '30d' } })
    const linked = (await lasting(job.id)).artifacts[0]?.url ?? ''
    await age(job.id, 2 * DAY)
    await isGone(job.id)
    expect(existsSync(filesOf(job))).toBe(true)
    const until = Number(await redis.zscore(keys.retention, `files:${job.id}`))
    expect(Math.abs(until - Date.now() - 28 * DAY)).toBeLessThan(60_000)
    expect(await findings()).toEqual([])

    await redis.zrem(keys.retention, `files:${job.id}`)
    expect(await findings()).toEqual([`retention ${job.id}`])
    const { repaired } = await auditReport({ redis, keys, repair: true })
    expect(repaired.map(({ id }) => id)).toEqual([job.id])
    expect(Number(await redis.zscore(keys.retention, `files:${job.id}`))).toBe(until)
    await redis.zadd(keys.retention, String(until), 'files:job_nobody')
    expect(await findings()).toEqual(['index_member_exists files:job_nobody'])
    await redis.zrem(keys.retention, 'files:job_nobody')

    expect((await read(linked)).status).toBe(200)
    await redis.zadd(keys.retention, 0, `files:${job.id}`)
    await waitFor('the files to be gone', () => !existsSync(filesOf(job)))
    await waitFor('nothing to name them', async () => (await redis.keys(`${keys.tag}*${job.id}*`)).length === 0)
    expect((await read(linked)).status).toBe(404)
    expect(await findings()).toEqual([])
  })

  test('takes its files along where nothing else was asked for', async () => {
    const job = await made(RAW)
    await age(job.id, 6 * DAY)
    await waitFor('the payload to be gone', async () => (await service.client.get(job.id)).input === null)
    expect(existsSync(filesOf(job))).toBe(true)
    await age(job.id, 7 * DAY)
    await isGone(job.id)
    expect(existsSync(filesOf(job))).toBe(false)
  })

  test('of the first release keeps what was promised then', async () => {
    const { redis, keys } = service
    const job = await made({ ...RAW, keep: { payload: '1h', job: '2h', files: '3h' } })
    const { keep: _, ...order } = JSON.parse((await redis.get(keys.order(job.id))) ?? '{}') as Record<string, unknown>
    await redis.set(keys.order(job.id), JSON.stringify(order))
    expect((await service.client.get(job.id)).keep).toEqual({ payload: '1d', job: '7d', files: '7d' })
    await age(job.id, 25 * HOUR)
    await waitFor('the payload to be gone', async () => (await service.client.get(job.id)).input === null)
    expect(await findings()).toEqual([])
    await age(job.id, 8 * DAY)
    await isGone(job.id)
    expect(existsSync(filesOf(job))).toBe(false)
  })
})

test('a payload that goes early leaves the index, the key and the job as they were', async () => {
  const { redis, keys } = service
  const options = { idempotencyKey: 'early' }
  const request = { ...RAW, keep: { payload: '1m' } }
  const { id } = await service.client.submit(request, options)
  const job = await finished(service, id)
  await age(id, 2 * 60_000)
  await waitFor('the payload to be gone', async () => (await service.client.get(id)).input === null)
  expect(await service.client.get(id)).toMatchObject({
    output: null,
    artifacts: [{ sha256: job.artifacts[0]?.sha256 }],
  })
  expect(await redis.get(keys.prediction('default', job.prediction_id ?? ''))).toBe(`${id}:1`)
  expect((await service.client.submit(request, options)).id).toBe(id)
  expect(code(await operator.ask(`/v1/jobs/${id}/retry`, { method: 'POST' }))).toEqual([409, 'not_retryable'])
  expect(await findings()).toEqual([])
})

test('a job that goes before Replicate forgets its prediction leaves no orphan', async () => {
  const { redis, keys } = service
  const job = await made({ ...RAW, keep: { payload: '1m', job: '1m' } })
  await age(job.id, 2 * 60_000)
  await isGone(job.id)
  expect(await redis.zscore(keys.foreign('default'), job.prediction_id ?? '')).not.toBeNull()
  expect(await findings()).toEqual([])
})

test('a batch is kept as long as the job of it that is kept longest', async () => {
  const items = [RAW, { ...RAW, keep: { job: '20d' } }, { ...RAW, keep: { job: '2d' } }]
  const { id } = await service.client.batch({ items })
  await service.client.waitBatch(id)
  await age(id, 19 * DAY)
  const due = () => service.redis.zscore(service.keys.retention, id).then(Number)
  await waitFor('the clean-up to look again later', async () => (await due()) > Date.now() + HOUR)
  expect(await service.client.getBatch(id)).toMatchObject({ status: 'succeeded' } satisfies Partial<Batch>)
  await age(id, 21 * DAY)
  await waitFor('the batch to be gone', async () => (await operator.ask(`/v1/batches/${id}`)).status === 404)
})

describe('DELETE', () => {
  test('removes files that would be kept for good', async () => {
    const job = await made(ALBUM)
    const linked = (await lasting(job.id)).artifacts[0]?.url ?? ''
    await service.client.delete(job.id)
    expect(existsSync(filesOf(job))).toBe(false)
    expect((await read(linked)).status).toBe(404)
  })

  test('removes files that outlived the record, for their tenant only', async () => {
    const job = await made({ ...RAW, keep: { job: '1d', files: '30d' } })
    await age(job.id, 2 * DAY)
    await isGone(job.id)
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant)
    const path = `/v1/jobs/${job.id}`
    expect((await operator.ask(path, { key, method: 'DELETE' })).status).toBe(404)
    expect(existsSync(filesOf(job))).toBe(true)
    expect((await operator.ask(path, { method: 'DELETE' })).status).toBe(204)
    expect(existsSync(filesOf(job))).toBe(false)
    expect((await operator.ask(path, { method: 'DELETE' })).status).toBe(404)
    expect(await findings()).toEqual([])
  })
})

test("a link in a prediction of Replicate's own API gives the file when the record is gone", async () => {
  const response = await fetch(`${service.url}/replicate/v1/models/preset/album/predictions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', prefer: 'wait' },
    body: JSON.stringify({ input: ALBUM.input }),
  })
  const { id, output } = (await response.json()) as { id: string; output: string[] }
  const job = `job_${id.toUpperCase()}`
  await age(job, 8 * DAY)
  await isGone(job)
  const file = await read(output[0] ?? null)
  expect([file.status, file.headers.get('content-type')]).toEqual([200, 'image/webp'])
  await file.arrayBuffer()
})

describe('lasting links', () => {
  test('are given where they are asked for, by every way to read jobs', async () => {
    const { id } = await service.client.batch({ items: [RAW] })
    await service.client.waitBatch(id)
    const [job] = (await service.client.batchJobs(id)).data
    const url = (await lasting(job?.id ?? '')).artifacts[0]?.url ?? ''
    expect(url).toContain('file=')
    const list = await operator.ask<Page<Job>>('/v1/jobs?links=lasting&limit=1')
    expect(list.body.data[0]?.artifacts[0]?.url).toBe(url)
    const inBatch = await operator.ask<Page<Job>>(`/v1/batches/${id}/jobs?links=lasting`)
    expect(inBatch.body.data[0]?.artifacts[0]?.url).toBe(url)
    expect(inBatch.body.data[0]?.output).toEqual([url])
    const manifest = await operator.ask<JobManifest>(`/v1/jobs/${job?.id}/manifest?links=lasting`)
    expect(manifest.body.artifacts).toMatchObject([{ url }])
    const headers = { authorization: `Bearer ${TEST_KEY}` }
    expect(await (await read(`/v1/batches/${id}/manifest?links=lasting`, headers)).text()).toContain(url)
    expect((await service.client.get(job?.id ?? '')).artifacts[0]?.url).toContain('expires=')
    expect((await service.client.get(job?.id ?? '', { links: 'lasting' })).artifacts[0]?.url).toBe(service.url + url)
    for (const path of [`/v1/jobs/${job?.id}?links=eternal`, `/v1/jobs/${job?.id}/manifest?links=1`])
      expect(code(await operator.ask(path))).toEqual([422, 'invalid_request'])
    const token = await operator.tokenFor(TEST_KEY, job?.id ?? '')
    for (const path of [`/v1/jobs/${job?.id}`, `/v1/jobs/${job?.id}/manifest`]) {
      expect((await operator.ask(`${path}?token=${token}`, { key: null })).status).toBe(200)
      expect(code(await operator.ask(`${path}?links=lasting&token=${token}`, { key: null }))).toEqual([
        403,
        'forbidden',
      ])
    }
  })

  test('open nothing when anything of them is changed, and end with their key', async () => {
    const job = await made(RAW)
    const url = (await lasting(job.id)).artifacts[0]?.url ?? ''
    const other = await made(RAW)
    for (const wrong of [
      url.replace(/signature=.*/, 'signature=AAAA'),
      url.replace(/&signature=.*/, ''),
      url.replace(/file=\w/, 'file=x'),
      url.replace(job.artifacts[0]?.id ?? '', other.artifacts[0]?.id ?? ''),
      url.replace('?', '/thumbnail?'),
      '/v1/artifacts/art_x?file=&signature=',
    ]) {
      const refused = await operator.ask(wrong, { key: null })
      expect(code(refused), wrong).toEqual([403, 'link_expired'])
    }
    await rotateLinkKey(service.redis, service.keys.deployment, { now: true, pause: () => Promise.resolve() })
    await waitFor('the link to end', async () => (await read(url)).status === 403)
    const ended = await operator.ask(url, { key: null })
    expect(ended.body.detail).toContain('revoked')
    const fresh = (await lasting(job.id)).artifacts[0]?.url ?? ''
    expect((await read(fresh)).status).toBe(200)
    expect((await read(job.artifacts[0]?.url ?? '')).status).toBe(200)
  })
})
