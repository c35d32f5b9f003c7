import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Job, Upload } from '../../src/client/types.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { auditDeployment } from '../support/audit.ts'
import { finished } from '../support/finished.ts'
import { code, createOperator, type Operator } from '../support/operator.ts'
import { noisyPicture } from '../support/picture.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { idempotencyEntry, shortDigest } from '../../src/shared/jobs/record/job-keys.ts'
import { canonicalJson } from '../../src/shared/values/canonical-json.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'
import { damagedPhoto, dataUri } from '../simulator/support/media.ts'

const dataDir = tempDir()
let service: TestService
let operator: Operator
let photo: Buffer
/** Larger than what goes inline. */
let large: Buffer

beforeAll(async () => {
  service = await startService({
    timings: { ...PATIENT_TIMINGS, uploadTimeout: 1000 },
    simulator: { speed: 200 },
    env: {
      DATA_DIR: dataDir,
      MAX_INPUT_FILE_BYTES: '600000',
      MAX_UPLOAD_BYTES: '900000',
      MAX_JOB_INPUT_BYTES: '1000000',
    },
  })
  operator = createOperator(service)
  photo = await damagedPhoto()
  large = await noisyPicture(400)
})
afterAll(() => service.stop())

const restore = (image: string): object => ({ preset: 'restore-image', input: { input_image: image } })
const restoreFile = (bytes: Buffer) => ({
  preset: 'restore-image',
  input: { input_image: new Blob([new Uint8Array(bytes)], { type: 'image/png' }) },
})
const asPng = (bytes: Buffer): string => dataUri(bytes, 'image/png')
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

function form(...files: [bytes: Buffer | string, type: string][]): FormData {
  const body = new FormData()
  for (const [bytes, type] of files) body.append('file', new Blob([new Uint8Array(Buffer.from(bytes))], { type }), 'a')
  return body
}

async function post(
  body: FormData,
  key = TEST_KEY,
): Promise<{ status: number; body: Upload & { code: string; data: Upload[] } }> {
  const response = await fetch(`${service.url}/v1/uploads`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${key}` },
  })
  return { status: response.status, body: (await response.json()) as Upload & { code: string; data: Upload[] } }
}

async function upload(bytes: Buffer, key = TEST_KEY): Promise<Upload> {
  const { status, body } = await post(form([bytes, 'image/png']), key)
  expect(status).toBe(201)
  return body
}

async function submit(request: object, headers: Record<string, string> = {}): Promise<Job> {
  const { status, body } = await operator.ask<Job>('/v1/jobs', { body: request, headers })
  expect([status, body.code]).toEqual([202, undefined])
  return body
}

const errorsOf = async (path: string, body: object) => {
  const answer = await operator.ask(path, { body })
  return [answer.status, ...(answer.body.errors ?? []).map(({ pointer, code: one }) => `${pointer} ${one}`)]
}

async function download(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(new URL(path, service.url), { headers: { authorization: `Bearer ${TEST_KEY}`, ...headers } })
}

/** What the simulator was sent as the input of a job. */
async function sentInput(job: Job): Promise<Record<string, unknown>> {
  const response = await fetch(`${service.simulator.apiUrl}/predictions/${job.prediction_id ?? ''}`, {
    headers: { authorization: 'Bearer x' },
  })
  return ((await response.json()) as { input: Record<string, unknown> }).input
}

async function filesAtReplicate(): Promise<number> {
  const response = await fetch(`${service.simulator.apiUrl}/files`, { headers: { authorization: 'Bearer x' } })
  return ((await response.json()) as { results: unknown[] }).results.length
}

/** Ids of the input files on disk, of all tenants, and of their records. */
async function kept(): Promise<string[]> {
  const root = join(dataDir, 'artifacts')
  const tenants = readdirSync(root).filter((tenant) => existsSync(join(root, tenant, 'inputs')))
  const onDisk = tenants.flatMap((tenant) => readdirSync(join(root, tenant, 'inputs'))).sort()
  expect((await service.redis.zrange(service.keys.uploads, '0', '-1')).sort()).toEqual(onDisk)
  return onDisk
}

/** Jobs whose files a test has taken away. */
const damaged: string[] = []

const idOf = (url: unknown): string => String(url).replace('/v1/uploads/', '')

describe('a data URI in an input', () => {
  test('is stored, shown as a path, and sent inline when it is small', async () => {
    const job = await submit(restore(asPng(photo)))
    const path = String(job.input?.input_image)
    expect(path).toMatch(/^\/v1\/uploads\/upl_[0-9A-Z]{26}$/)
    const record = await service.redis.hgetall(service.keys.job(job.id))
    expect(JSON.stringify(record)).not.toContain('base64')

    const file = await download(path)
    expect(file.headers.get('content-type')).toBe('image/png')
    expect(Buffer.from(await file.arrayBuffer()).equals(photo)).toBe(true)
    const part = await download(path, { range: 'bytes=1-3' })
    expect([part.status, await part.text()]).toEqual([206, 'PNG'])
    expect((await fetch(new URL(path, service.url))).status).toBe(401)

    const done = await finished(service, job.id)
    expect(done).toMatchObject({ status: 'succeeded', input: { input_image: service.url + path } })
    expect(await sentInput(done)).toMatchObject({ input_image: asPng(photo) })
  })

  test('that is larger is handed over, and the prediction gets its address', async () => {
    const before = await filesAtReplicate()
    const done = await finished(service, (await submit(restore(asPng(large)))).id)
    expect(done).toMatchObject({ status: 'succeeded', attempt: 1, error: null })
    expect((await sentInput(done)).input_image).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1\/files\/[a-z0-9]{26}$/)
    expect(await filesAtReplicate()).toBe(before + 1)
  })

  test('is compared by its bytes when a submission is repeated', async () => {
    const headers = { 'idempotency-key': 'photo-1' }
    const first = await submit(restore(asPng(photo)), headers)
    const before = await kept()
    const again = await submit(restore(asPng(photo)), headers)
    expect(again).toMatchObject({ id: first.id, input: first.input })
    // The same type and bytes, written in another way.
    expect((await submit(restore(asPng(photo).replace('image/png', 'image/PNG;x=y')), headers)).id).toBe(first.id)
    expect(code(await operator.ask('/v1/jobs', { body: restore(asPng(large)), headers }))).toEqual([
      422,
      'idempotency_key_reused',
    ])
    expect(await kept()).toEqual(before)
    await finished(service, first.id)
  })

  test('is the same as an upload of the same bytes, and as one that is uploaded again', async () => {
    const options = { idempotencyKey: 'photo-2' }
    const submitFile = (bytes: Buffer) => service.client.submit(restoreFile(bytes), options)
    const first = await submitFile(photo)
    const again = await submitFile(photo)
    expect(again.id).toBe(first.id)
    expect(again.input).toEqual(first.input)
    expect((await submit(restore(asPng(photo)), { 'idempotency-key': 'photo-2' })).id).toBe(first.id)
    await expect(submitFile(large)).rejects.toMatchObject({ code: 'idempotency_key_reused' })
    const batch = (bytes: Buffer) =>
      service.client.batch({ items: [restoreFile(bytes)] }, { idempotencyKey: 'photo-3' })
    const { id } = await batch(photo)
    expect((await batch(photo)).id).toBe(id)
    await expect(batch(large)).rejects.toMatchObject({ code: 'idempotency_key_reused' })
    await finished(service, first.id)
  })

  test('that an earlier release compared by its link is still the same', async () => {
    const upload = await service.client.upload(new Blob([new Uint8Array(photo)]))
    const body = restore(new URL(upload.url).pathname)
    const first = await submit(body, { 'idempotency-key': 'photo-4' })
    const entry = idempotencyEntry('default', 'POST /v1/jobs', 'photo-4')
    const place = service.keys.idempotency(entry)
    await service.redis.set(place, JSON.stringify({ job: first.id, body: shortDigest(canonicalJson(body)) }))
    expect((await submit(body, { 'idempotency-key': 'photo-4' })).id).toBe(first.id)
  })

  test.each([
    ['no base64', 'data:image/png;base64,iVBORw0KGgo*', 'invalid_data_uri'],
    ['empty', 'data:image/png;base64,', 'empty_file'],
    ['no picture', `data:image/png;base64,${Buffer.from('hello').toString('base64')}`, 'type_not_allowed'],
    ['too large', `data:image/png;base64,${Buffer.alloc(600_001).toString('base64')}`, 'too_large'],
  ])('that is %s is reported by its path, and nothing is stored', async (_what, uri, wrong) => {
    const before = await kept()
    expect(await errorsOf('/v1/jobs', restore(uri))).toEqual([422, `/input/input_image ${wrong}`])
    expect(await kept()).toEqual(before)
  })

  test('is not stored when the rest of the request is wrong, or the credits do not suffice', async () => {
    const before = await kept()
    const image = asPng(photo)
    expect(await errorsOf('/v1/jobs', { preset: 'restore-image', input: { input_image: image, seed: 'x' } })).toEqual([
      422,
      '/input/seed invalid_type',
    ])
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant)
    await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount: 1, reason: 'a test' } })
    expect(code(await operator.ask('/v1/jobs', { key, body: restore(image) }))).toEqual([402, 'insufficient_credits'])
    expect(readdirSync(join(dataDir, 'artifacts', tenant, 'inputs'))).toEqual([])
    expect(await kept()).toEqual(before)
  })

  test('in a plain text field is left alone', async () => {
    const version = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
    const job = await submit({ version, input: { text: 'data:,Ada' } })
    expect(await finished(service, job.id)).toMatchObject({ input: { text: 'data:,Ada' }, output: 'hello data:,Ada' })
  })

  test('may be many times what else a body may be', async () => {
    const [limit, picture] = [4 * 1024 * 1024, asPng(large)]
    const images = Array.from({ length: Math.ceil(limit / picture.length) }, () => picture)
    const { input } = await submit({ model: 'black-forest-labs/flux-schnell', input: { prompt: 'x', images } })
    expect(input?.images).toHaveLength(images.length)
    expect(code(await operator.ask('/v1/jobs', { body: { ...restore('x'), more: 'x'.repeat(limit) } }))).toEqual([
      413,
      'body_too_large',
    ])
  })
})

describe('an upload', () => {
  test('is described by its metadata, read by its owner, and referenced by its URL', async () => {
    const { status, body } = await post(form([photo, 'application/x-something']))
    expect(status).toBe(201)
    expect(body).toEqual({
      id: expect.stringMatching(/^upl_/),
      url: `/v1/uploads/${body.id}`,
      media_type: 'image/png',
      bytes: photo.length,
      sha256: sha256(photo),
      created_at: expect.any(String),
      expires_at: expect.any(String),
    })
    const life = Date.parse(body.expires_at) - Date.parse(body.created_at)
    expect(Math.round(life / 60_000)).toBe(24 * 60)
    expect(Buffer.from(await (await download(body.url)).arrayBuffer()).equals(photo)).toBe(true)
    const job = await submit(restore(body.url))
    expect(job.input).toMatchObject({ input_image: body.url })
    expect(await finished(service, job.id)).toMatchObject({ status: 'succeeded' })
  })

  test('of several files answers them in their order', async () => {
    const { status, body } = await post(form([photo, 'image/png'], ['a,b\n', 'text/csv'], [large, 'image/png']))
    expect([status, body.data.map(({ media_type, bytes }) => [media_type, bytes])]).toEqual([
      201,
      [
        ['image/png', photo.length],
        ['text/csv', 4],
        ['image/png', large.length],
      ],
    ])
  })

  test('that is used by many jobs is handed over once', async () => {
    const { url } = await upload(large)
    const before = await filesAtReplicate()
    const jobs = await Promise.all(Array.from({ length: 5 }, () => submit(restore(url))))
    for (const { id } of jobs) expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
    expect(await filesAtReplicate()).toBe(before + 1)
  })

  test('of another tenant does not exist', async () => {
    const { key } = await operator.newKey(await operator.newTenant())
    const { url } = await upload(photo, key)
    expect(await errorsOf('/v1/jobs', restore(url))).toEqual([422, '/input/input_image unknown_upload'])
    expect(code(await operator.ask(url))).toEqual([404, 'not_found'])
    expect(code(await operator.ask(url, { method: 'DELETE' }))).toEqual([404, 'not_found'])
    expect((await operator.ask(url, { key })).status).toBe(200)
  })

  test('can be deleted while no job uses it, and then not be named any more', async () => {
    const [free, used] = [await upload(photo), await upload(photo)]
    const job = await submit(restore(used.url))
    expect((await operator.ask(free.url, { method: 'DELETE' })).status).toBe(204)
    expect(code(await operator.ask(used.url, { method: 'DELETE' }))).toEqual([409, 'upload_in_use'])
    expect(code(await operator.ask(free.url))).toEqual([404, 'not_found'])
    expect(await errorsOf('/v1/jobs', restore(free.url))).toEqual([422, '/input/input_image unknown_upload'])
    await finished(service, job.id)
  })

  test('is opened by the token of a job that uses it, and by no other', async () => {
    const { url } = await upload(photo)
    const [mine, other] = [await submit(restore(url)), await submit(restore(asPng(photo)))]
    const [right, wrong] = await Promise.all([mine, other].map(({ id }) => operator.tokenFor(TEST_KEY, id)))
    expect((await operator.ask(url, { key: right ?? '' })).status).toBe(200)
    expect((await operator.ask(url, { key: wrong ?? '' })).status).toBe(404)
    for (const { id } of [mine, other]) await finished(service, id)
  })

  test('needs the scopes', async () => {
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant, { scopes: ['jobs:read'] })
    expect((await post(form([photo, 'image/png']), key)).body.code).toBe('forbidden')
  })
})

describe('an upload that is wrong', () => {
  const multipart = (body: string, type = 'multipart/form-data; boundary=b') => ({ body, type })
  const part = (headers: string, body: string): string => `--b\r\n${headers}\r\n\r\n${body}\r\n`
  const FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain'
  const FIELD = 'Content-Disposition: form-data; name="note"'

  test.each([
    ['no multipart', multipart('{}', 'application/json'), 415, 'unsupported_media_type'],
    ['a form without files', multipart('a=1', 'application/x-www-form-urlencoded'), 415, 'unsupported_media_type'],
    ['without a boundary', multipart('x', 'multipart/form-data'), 400, 'invalid_multipart'],
    ['of another boundary', multipart('--c\r\n\r\n'), 400, 'invalid_multipart'],
    ['cut within a file', multipart(part(FILE, 'x'.repeat(9000)).slice(0, 5000)), 400, 'invalid_multipart'],
    ['cut within a head', multipart(part(FILE, 'x').slice(0, 20)), 400, 'invalid_multipart'],
    ['cut after a whole file', multipart(part(FILE, 'hello')), 400, 'invalid_multipart'],
    ['without a file', multipart('--b--\r\n'), 422, 'invalid_request'],
    ['of another field', multipart(`${part(FILE, 'hello')}${part(FIELD, '1')}--b--\r\n`), 422, 'invalid_request'],
    ['an empty file', multipart(`${part(FILE, 'hello')}${part(FILE, '')}--b--\r\n`), 422, 'invalid_request'],
    ['too many files', multipart(`${part(FILE, 'hello').repeat(21)}--b--\r\n`), 422, 'invalid_request'],
    ['a page', multipart(`${part(FILE.replace('plain', 'html'), '<p>')}--b--\r\n`), 415, 'unsupported_media_type'],
    [
      'a program',
      multipart(`${part(FILE, 'ok')}${part(FILE, `MZ${'\0'.repeat(100)}`)}--b--\r\n`),
      415,
      'unsupported_media_type',
    ],
    ['a large file', multipart(`${part(FILE, 'x'.repeat(900_001))}--b--\r\n`), 413, 'body_too_large'],
  ])('%s', async (_what, { body, type }, status, wrong) => {
    const before = await kept()
    const response = await fetch(`${service.url}/v1/uploads`, {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': type },
    })
    const answer = (await response.json()) as { code?: string }
    expect([response.status, answer.code]).toEqual([status, wrong])
    expect(await kept()).toEqual(before)
  })

  const head = (type: string, rest: string): string =>
    `POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\nContent-Type: ${type}\r\n${rest}\r\n\r\n`

  /** What came back until the other side closed. */
  function raw(write: (send: (bytes: string) => void, end: () => void) => void): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
      let answer = ''
      socket.on('data', (chunk) => (answer += chunk.toString()))
      socket.on('error', () => resolve(answer))
      socket.on('close', () => resolve(answer))
      write(
        (bytes) => void socket.write(bytes),
        () => void socket.destroy(),
      )
    })
  }

  test('an endless one is ended at its limit', async () => {
    const before = await kept()
    const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
    const begin = part(FILE, '').slice(0, -2)
    const answer = await raw((send) => {
      send(head('multipart/form-data; boundary=b', 'Transfer-Encoding: chunked'))
      send(`${begin.length.toString(16)}\r\n${begin}\r\n`)
      for (let i = 0; i < 20; i++) send(chunk)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(await kept()).toEqual(before)
  })

  test('an endless one in which no file begins is ended too', async () => {
    const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
    const answer = await raw((send) => {
      send(head('multipart/form-data; boundary=b', 'Transfer-Encoding: chunked'))
      for (let i = 0; i < 140; i++) send(chunk)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('invalid_multipart')
  })

  test('one whose sender goes away leaves nothing behind', async () => {
    const before = await kept()
    await raw((send, end) => {
      send(head('multipart/form-data; boundary=b', 'Content-Length: 100000'))
      send(part(FILE, 'x'.repeat(20_000)).slice(0, 10_000))
      setTimeout(end, 100)
    })
    await waitFor('the rest of it to be gone', async () => (await kept()).join() === before.join())
  })
})

describe('files that cannot be handed over', () => {
  test('are tried again without an attempt, and count as trouble of Replicate', async () => {
    await service.simulator.faults({ uploads: { status: { next: 3 } } })
    const job = await submit(restore(asPng(await noisyPicture(350))))
    const shown = await waitFor('creation to rest', async () => {
      const now = await service.client.get(job.id)
      return now.waiting_for?.reason === 'upstream' && now
    })
    expect(shown).toMatchObject({ attempt: 0, status: 'queued', prediction_id: null })
    expect(await finished(service, job.id)).toMatchObject({ status: 'succeeded', attempt: 1 })
  })

  test.each([
    ['a lost answer', { cut: { next: 1 } }],
    ['a late one', { delay: { next: 1, seconds: 2 } }],
    ['no answer of a file', { garbage: { next: 1 } }],
    ['a 429', { status: { next: 1, code: 429, retry_after: 1 } }],
    ['a 402', { status: { next: 1, code: 402 } }],
  ])('by %s are tried again', async (_what, uploads) => {
    await service.simulator.faults({ uploads })
    const job = await submit(restore(asPng(await noisyPicture(350))))
    expect(await finished(service, job.id)).toMatchObject({ status: 'succeeded', attempt: 1 })
  })

  test('because Replicate refuses them fail the job, free of charge', async () => {
    const before = (await service.simulator.books()).counts.create_requests
    await service.simulator.faults({ uploads: { status: { next: 1, code: 413 } } })
    const job = await finished(service, (await submit(restore(asPng(await noisyPicture(350))))).id)
    expect(job).toMatchObject({ status: 'failed', attempt: 0, error: { code: 'input_too_large', billed: 'no' } })
    expect((await service.simulator.books()).counts.create_requests).toBe(before)
  })

  test('because they are lost fail the job, free of charge', async () => {
    const { id, url } = await upload(photo)
    await service.redis.hset(service.keys.upload(id), 'key', 'default/inputs/nothing')
    const job = await finished(service, (await submit(restore(url))).id)
    damaged.push(job.id)
    expect(job).toMatchObject({ status: 'failed', attempt: 0, error: { code: 'input_file_lost', billed: 'no' } })
  })
})

describe('a job with files', () => {
  test('can be tried again while they are there, and not any more when they are gone', async () => {
    const first = await submit(restore(asPng(photo)))
    const id = idOf(first.input?.input_image)
    await finished(service, first.id)
    const { status, body } = await operator.ask<Job>(`/v1/jobs/${first.id}/retry`, { method: 'POST' })
    expect([status, body.input]).toEqual([202, first.input])
    await finished(service, body.id)

    await expire(first.id)
    expect((await operator.ask(`/v1/uploads/${id}`)).status).toBe(200)
    expect(code(await operator.ask(`/v1/jobs/${first.id}/retry`, { method: 'POST' }))).toEqual([409, 'not_retryable'])
    await expire(body.id)
    await waitFor('the file to be gone', async () => !(await kept()).includes(id))
    expect((await operator.ask(`/v1/uploads/${id}`)).status).toBe(404)
  })

  test('that lost one of them is not tried again', async () => {
    const { id, url } = await upload(photo)
    const job = await finished(service, (await submit(restore(url))).id)
    damaged.push(job.id)
    await service.redis.hset(service.keys.upload(id), 'state', 'removing')
    expect(code(await operator.ask(`/v1/jobs/${job.id}/retry`, { method: 'POST' }))).toEqual([409, 'not_retryable'])
  })

  test('may not have too many bytes of them', async () => {
    const files = await Promise.all([noisyPicture(400), noisyPicture(420)].map(async (bytes) => upload(await bytes)))
    const version = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
    const input = { text: 'x', files: files.map(({ url }) => url) }
    expect(await errorsOf('/v1/jobs', { version, input })).toEqual([422, '/input too_large'])
  })
})

test('a batch shares the files of its defaults, and each item has its own', async () => {
  const before = await kept()
  const body = {
    preset: 'restore-image',
    defaults: { input: { input_image: asPng(photo) } },
    items: [{}, { input: { seed: 1 } }, { input: { input_image: asPng(large) } }],
  }
  const headers = { 'idempotency-key': 'batch-1' }
  const { status, body: batch } = await operator.ask<Batch>('/v1/batches', { body, headers })
  expect(status).toBe(202)
  const jobs = await waitFor('the batch to be over', async () => {
    if ((await service.client.getBatch(batch.id)).completed_at === null) return false
    return (await service.client.batchJobs(batch.id)).data
  })
  expect(jobs.map((job) => job.status)).toEqual(['succeeded', 'succeeded', 'succeeded'])
  const images = jobs.map(({ input }) => input?.input_image)
  expect(images[0]).toBe(images[1])
  expect(images[0]).not.toBe(images[2])
  expect(await kept()).toHaveLength(before.length + 2)
  expect((await operator.ask<Batch>('/v1/batches', { body, headers })).body.id).toBe(batch.id)
  expect(await kept()).toHaveLength(before.length + 2)

  const wrong = { ...body, items: [{}, { input: { input_image: '/v1/uploads/upl_01ARZ3NDEKTSV4RRFFQ69G5FAV' } }] }
  expect(await errorsOf('/v1/batches', wrong)).toEqual([422, '/items/1/input/input_image unknown_upload'])
  expect(await errorsOf('/v1/batches', { ...body, defaults: { input: { input_image: 'data:;base64,x' } } })).toEqual([
    422,
    '/defaults/input/input_image invalid_data_uri',
  ])
  expect(await kept()).toHaveLength(before.length + 2)
})

describe('a long text in an input', () => {
  const model = 'black-forest-labs/flux-schnell'
  const longest = 2 * 1024 * 1024
  const input = { prompt: 'é"'.repeat(400_000), megapixels: '0.25' }
  const beginning = { ...input, prompt: `${'é"'.repeat(100)}\u2026` }
  /** The text that fills an input up to the limit. */
  const filling = 'x'.repeat(longest - JSON.stringify({ prompt: '' }).length)

  test('is sent whole, and shown whole where one job is read', async () => {
    const job = await submit({ model, input })
    expect(job).toMatchObject({ input: beginning, input_truncated: true })
    const done = await finished(service, job.id)
    expect(done).toMatchObject({ status: 'succeeded', input, input_truncated: false })
    expect((await sentInput(done)).prompt).toBe(input.prompt)
    const { body: manifest } = await operator.ask<Record<string, unknown>>(`/v1/jobs/${job.id}/manifest`)
    expect(manifest).toMatchObject({ input, input_sha256: sha256(Buffer.from(canonicalJson(input))) })
    const listed = (await service.client.list({ limit: 1 })).data
    expect(listed).toMatchObject([{ id: job.id, input: beginning, input_truncated: true }])

    const again = await finished(service, (await service.client.retry(job.id)).id)
    expect((await sentInput(again)).prompt).toBe(input.prompt)
    await service.client.delete(job.id)
    expect(await service.redis.exists(service.keys.input(job.id))).toBe(0)
  })

  test('of a batch is sent whole with every item', async () => {
    const { id } = await service.client.batch({
      defaults: { model, input },
      items: [{ input: { megapixels: '1' } }, { input: { prompt: 'short' } }],
    })
    await service.client.waitBatch(id)
    const jobs = (await service.client.batchJobs(id)).data
    expect(jobs).toMatchObject([{ input: { prompt: beginning.prompt } }, { input: { prompt: 'short' } }])
    expect(await Promise.all(jobs.map(async (job) => (await sentInput(job)).prompt))).toEqual([input.prompt, 'short'])
    const response = await download(`/v1/batches/${id}/manifest`)
    expect(JSON.parse((await response.text()).split('\n')[0] ?? '')).toMatchObject({ input: { prompt: input.prompt } })
  })

  test('is limited, and so is all else', async () => {
    const job = await submit({ model, input: { prompt: filling } })
    expect(code(await operator.ask(`/v1/jobs/${job.id}/cancel`, { body: {} }))[0]).toBeLessThan(300)
    const refused = (prompt: unknown) => errorsOf('/v1/jobs', { model, input: { prompt } })
    expect(await refused(`${filling}x`)).toEqual([422, '/input too_large'])
    expect(await refused(Array.from({ length: 66 }, () => 'x'.repeat(1000)))).toContain('/input too_large')
    expect((await operator.ask('/v1/jobs', { body: { model, input: { prompt: filling + filling } } })).status).toBe(413)
    const items = Array.from({ length: 40 }, () => ({}))
    const shared = { defaults: { model, input: { prompt: filling } }, items }
    expect(await errorsOf('/v1/batches', shared)).toEqual([422, '/items too_large'])
  })
})

test('an audit finds the files that are missing, and nothing else', async () => {
  const { redis, keys } = service
  const artifacts = createDiskArtifactStore(join(dataDir, 'artifacts'))
  const findings = await auditDeployment({ redis, keys, artifacts })
  expect(findings.map(({ invariant, id }) => [invariant, id]).sort()).toEqual(
    damaged.map((id) => ['input_kept', id]).sort(),
  )
  expect(damaged).toHaveLength(2)
})

/** The time of a job's input is over. */
async function expire(id: string): Promise<void> {
  await service.redis.hset(service.keys.job(id), 'completed_at', String(Date.now() - 25 * 3_600_000))
  await service.redis.zadd(service.keys.retention, '0', id)
  await waitFor(`${id} to lose its input`, async () => (await service.client.get(id)).input === null)
}

test('a disk that has reached its reserve refuses files of clients, and keeps storing outputs', async () => {
  const full = await startService({
    timings: PATIENT_TIMINGS,
    simulator: { speed: 200 },
    env: { DISK_RESERVE: String(2 ** 52) },
  })
  try {
    const headers = { authorization: `Bearer ${TEST_KEY}` }
    const body = form([photo, 'image/png'])
    const refused = await fetch(`${full.url}/v1/uploads`, { method: 'POST', body, headers })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([507, '60'])
    expect(await refused.json()).toMatchObject({ code: 'storage_full' })
    const input = { input_image: asPng(photo) }
    const job = full.client.submit({ preset: 'restore-image', input }, { idempotencyKey: 'full' })
    await expect(job).rejects.toMatchObject({ status: 507, code: 'storage_full' })
    const { id } = await full.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'x', megapixels: '0.25' },
    })
    expect(await finished(full, id)).toMatchObject({ status: 'succeeded', artifacts: [{ bytes: expect.any(Number) }] })
    await waitFor('the condition', async () =>
      (await full.client.health()).conditions.some(({ name }) => name === 'disk_filling'),
    )
  } finally {
    await full.stop()
  }
})
