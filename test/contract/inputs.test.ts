import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { ulid } from 'ulid'
import { describe, expect, test } from 'vitest'
import { ArtifactRefusedError } from '../../src/shared/artifacts/artifact-store.ts'
import { createDiskReserve } from '../../src/shared/artifacts/disk-reserve.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { createInputs, InputFilesError, UploadRefusedError, type TakenFiles } from '../../src/shared/inputs/inputs.ts'
import { createRedisUploadStore } from '../../src/shared/inputs/redis-upload-store.ts'
import { referenceOf, uploadPath } from '../../src/shared/inputs/rules/reference.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { auditReport } from '../support/audit.ts'
import { jobScene } from '../support/job-scene.ts'
import { tempDir } from '../support/temp-dir.ts'

const LIMITS = { fileBytes: 1000, jobBytes: 2000, uploadBytes: 1500, types: ['text/*', 'image/*'] }

interface Scene {
  draftLife?: number
  keepUpload?: number
  quota?: { stored_bytes?: number; stored_files?: number }
  reserve?: () => Promise<void>
}

/** Input files in a real Redis and a real folder. `draftLife` 0: a job that is not there never comes. */
async function scene({
  draftLife = 0,
  keepUpload = 60_000,
  quota = {},
  reserve = (): Promise<void> => Promise.resolve(),
}: Scene = {}) {
  const { redis, keys, store: jobs, accepted } = await jobScene()
  const folder = tempDir()
  const uploads = createRedisUploadStore({
    redis,
    keys,
    lease: 1000,
    quota: { tenants: `${keys.tag}:tenants`, defaults: quota },
  })
  const inputs = createInputs({
    uploads,
    artifacts: createDiskArtifactStore(folder),
    jobs,
    limits: LIMITS,
    reserve,
    timings: { draftLife, keepUpload },
    log: createLogger({ level: 'silent', readable: false }),
  })
  const newId = (): string => `job_${ulid()}`
  return {
    redis,
    keys,
    uploads,
    inputs,
    newId,
    /** A job whose record holds this input. */
    jobWith: (input: JsonObject) => accepted({ input, tenant: 't' }),
    upload: (text: string, tenant = 't') => inputs.upload(tenant, Readable.from([Buffer.from(text)]), 'text/plain'),
    attach: (input: JsonObject, { files = new Map(), id = newId(), tenant = 't' }: Attaching = {}) =>
      inputs.attach(tenant, [{ id, input }], files).then(([found]) => found ?? {}),
    /** Everything is due, and is looked at. */
    async sweep(): Promise<void> {
      for (const id of await redis.zrange(keys.uploads, '0', '-1')) await redis.zadd(keys.uploads, '0', id)
      await inputs.sweep()
    },
    expire: async (id: string) => void (await redis.hset(keys.upload(id), 'expires_at', '0')),
    /** Ids of records and files. */
    async left(): Promise<string[]> {
      const tenants = readdirSync(folder).filter((name) => !name.startsWith('.'))
      const files = tenants.flatMap((tenant) => readdirSync(join(folder, tenant, 'inputs')))
      const named = await redis.zrange(keys.uploads, '0', '-1')
      const records = await Promise.all(named.map((id) => redis.exists(keys.upload(id))))
      expect(files.sort()).toEqual(named.filter((_id, i) => records[i] === 1).sort())
      return files
    },
  }
}

interface Attaching {
  files?: TakenFiles
  id?: string
  tenant?: string
}

describe('what a tenant may store', () => {
  test('is counted by bytes and files, exactly, also when uploads come at once', async () => {
    const quota = { stored_bytes: 30, stored_files: 4 }
    const { upload, attach, redis, keys, inputs, left } = await scene({ quota })
    const stored = async () => [await redis.hget(keys.stored, 't.bytes'), await redis.hget(keys.stored, 't.files')]
    const over = (limit: string) => ({ code: 'too_much_stored', limit })
    const ten = '0123456789'
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => upload(ten)))
    const kept = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    expect(kept).toHaveLength(3)
    for (const answer of answers)
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject(over('stored_bytes'))
    expect(await stored()).toEqual(['30', '3'])
    expect(await left()).toHaveLength(3)
    await expect(upload('x')).rejects.toMatchObject(over('stored_bytes'))
    expect((await upload('x', 'other')).bytes).toBe(1)
    for (const record of kept.slice(1)) expect(await inputs.remove(record)).toBe(true)
    expect(await stored()).toEqual(['10', '1'])
    // A data URI of a job counts in the same way.
    const text = 'data:text/plain;base64,QQ=='
    await attach({ a: text })
    for (let i = 0; i < 2; i++) await upload('x')
    expect(await stored()).toEqual(['13', '4'])
    await expect(upload('x')).rejects.toMatchObject(over('stored_files'))
    await expect(attach({ a: text })).rejects.toMatchObject(over('stored_files'))
    // The limit of the tenant counts before that of the deployment.
    await redis.hset(`${keys.tag}:tenants`, 't.stored_files', '5')
    await upload('x')
    await expect(upload('x')).rejects.toMatchObject(over('stored_files'))
  })

  test('ends where the disk has reached its reserve, before anything is written', async () => {
    let free = 999
    const disk = createDiskReserve(tempDir(), 1000, () => Promise.resolve(free))
    const { upload, attach, left } = await scene({ reserve: disk.require })
    await expect(upload('x')).rejects.toMatchObject({ code: 'storage_full' })
    await expect(attach({ a: 'data:text/plain;base64,QQ==' })).rejects.toMatchObject({ code: 'storage_full' })
    expect(await attach({ a: 'words' })).toEqual({ a: 'words' })
    expect(await disk.check()).toMatchObject({ ok: false, detail: expect.stringContaining('999 bytes') })
    expect(await left()).toEqual([])
    free = 1000
    expect(await createDiskReserve(tempDir(), 1000, () => Promise.resolve(free)).check()).toMatchObject({ ok: true })
    // What cannot be measured refuses nothing.
    const unknown = createDiskReserve(tempDir(), 1000, () => Promise.reject(new Error('ENOSYS')))
    await unknown.require()
    expect(await createDiskReserve(tempDir(), 1).check()).toMatchObject({ ok: true })
  })
})

test('what an audit finds about uploads it can repair', async () => {
  const { upload, attach, jobWith, redis, keys } = await scene()
  const [used, idle] = [await upload('words'), await upload('others')]
  const job = await jobWith({ a: uploadPath(used.id) })
  await attach({ a: uploadPath(used.id) }, { id: job })
  await redis.srem(keys.uploadJobs(used.id), job)
  await redis.zrem(keys.uploads, idle.id)
  await redis.zadd(keys.uploads, '0', 'upl_01ARZ3NDEKTSV4RRFFQ69G5FAV')
  await redis.sadd(keys.uploadJobs('upl_01ARZ3NDEKTSV4RRFFQ69G5FAW'), job)
  const found = async (repair: boolean) => {
    const { findings, repaired } = await auditReport({ redis, keys, repair })
    const mine = [...findings, ...repaired].filter(({ invariant }) => invariant !== 'sweep_scheduled')
    return mine.map(({ invariant, id }) => `${invariant} ${id}`).sort()
  }
  expect(await found(true)).toEqual([
    `due ${idle.id}`,
    'index_member_exists upl_01ARZ3NDEKTSV4RRFFQ69G5FAV',
    `input_kept ${job}`,
    'record_complete upl_01ARZ3NDEKTSV4RRFFQ69G5FAW',
  ])
  expect(await found(false)).toEqual([])
  await redis.del(keys.upload(used.id), keys.uploadJobs(used.id))
  expect(await found(true)).toEqual([
    // By its due time, and in the list of its tenant.
    `index_member_exists ${used.id}`,
    `index_member_exists ${used.id}`,
    `input_kept ${job}`,
    'stored_counted t',
  ])
})

const taken = (text: string, name = 'data:text/plain;sha256,1'): TakenFiles =>
  new Map([[name, { media_type: 'text/plain', bytes: Buffer.from(text) }]])

const fileOf = (value: Json | undefined): string => referenceOf(String(value)) ?? `${JSON.stringify(value)} is no file`

const problems = async (work: Promise<unknown>) =>
  work.then(
    () => [],
    (error: unknown) =>
      error instanceof InputFilesError ? error.wrong.map(({ field }) => [field.pointer, field.code]) : [error],
  )

describe('an upload', () => {
  test('is kept with its facts, and can be read', async () => {
    const { upload, inputs } = await scene()
    const record = await upload('some words')
    const sha256 = createHash('sha256').update('some words').digest('hex')
    expect(record).toMatchObject({ tenant: 't', state: 'ready', media_type: 'text/plain', bytes: 10, sha256 })
    expect(record.expires_at - record.created_at).toBeGreaterThanOrEqual(60_000)
    const file = await inputs.open(record)
    expect(file && String(await buffer(file))).toBe('some words')
    expect(await inputs.find('other', record.id)).toBeNull()
  })

  test.each([
    ['too large', Readable.from([Buffer.alloc(1000, 'a'), Buffer.alloc(501, 'a')]), ArtifactRefusedError],
    ['empty', Readable.from([]), UploadRefusedError],
    ['of another type', Readable.from([Buffer.from('%PDF-1.7\n%....')]), UploadRefusedError],
    ['cut', Readable.from(cut()), Error],
  ])('that is %s leaves nothing behind', async (_what, body, error) => {
    const { inputs, left } = await scene()
    await expect(inputs.upload('t', body, 'text/plain')).rejects.toBeInstanceOf(error)
    expect(await left()).toEqual([])
  })

  test('whose writer was killed goes when its time is over', async () => {
    const { uploads, expire, left, sweep } = await scene()
    await uploads.begin('upl_01ARZ3NDEKTSV4RRFFQ69G5FAV', 't', 60_000)
    await expire('upl_01ARZ3NDEKTSV4RRFFQ69G5FAV')
    await sweep()
    expect(await left()).toEqual([])
  })

  test('stays for its time, and goes after it', async () => {
    const { upload, sweep, expire, left } = await scene()
    const { id } = await upload('words')
    await sweep()
    expect(await left()).toEqual([id])
    await expire(id)
    await sweep()
    expect(await left()).toEqual([])
  })

  test('stays as long as the last of its jobs has its input', async () => {
    const { upload, attach, jobWith, inputs, sweep, expire, left, redis, keys } = await scene()
    const { id } = await upload('words')
    const input = { a: uploadPath(id), b: [uploadPath(id)] }
    const [first, second] = [await jobWith(input), await jobWith(input)]
    for (const job of [first, second]) expect(await attach(input, { id: job })).toEqual(input)
    await expire(id)
    await sweep()
    await inputs.removeInputs({ id: first, input })
    expect(await left()).toEqual([id])
    await inputs.removeInputs({ id: second, input })
    expect(await left()).toEqual([])
    expect(await redis.exists(keys.uploadJobs(id))).toBe(0)
  })

  test('whose jobs went without a word is given up by the sweep', async () => {
    const { upload, attach, jobWith, sweep, expire, left, redis, keys } = await scene()
    const { id } = await upload('words')
    const job = await jobWith({ a: uploadPath(id) })
    await attach({ a: uploadPath(id) }, { id: job })
    await expire(id)
    await sweep()
    expect(await left()).toEqual([id])
    await redis.hset(keys.job(job), 'input', 'null')
    await sweep()
    expect(await left()).toEqual([])
  })

  test('is not taken from a job whose record is still on its way', async () => {
    const { upload, attach, inputs, sweep, expire, left } = await scene({ draftLife: 60_000 })
    const record = await upload('words')
    await attach({ a: uploadPath(record.id) })
    await expire(record.id)
    await sweep()
    expect(await inputs.remove(record)).toBe(false)
    expect(await left()).toEqual([record.id])
  })

  test('can be removed early, but not under a job', async () => {
    const { upload, attach, jobWith, inputs, left } = await scene()
    const [free, used] = [await upload('free'), await upload('used')]
    await attach({ a: uploadPath(used.id) }, { id: await jobWith({ a: uploadPath(used.id) }) })
    expect(await inputs.remove(free)).toBe(true)
    expect(await inputs.remove(used)).toBe(false)
    expect(await left()).toEqual([used.id])
  })
})

describe('an input', () => {
  test('has its data URIs stored, each once, and no bytes left in it', async () => {
    const { attach, inputs, left } = await scene()
    const text = 'data:text/plain;sha256,1'
    const input = await attach({ image: text, more: [text], prompt: 'p' }, { files: taken('hello') })
    expect(input).toEqual({ image: expect.any(String), more: [input.image], prompt: 'p' })
    const record = await inputs.find('t', fileOf(input.image))
    expect(record).toMatchObject({ bytes: 5, media_type: 'text/plain' })
    expect(await left()).toHaveLength(1)
  })

  test('has data URIs of a preset stored as well', async () => {
    const { attach, inputs } = await scene()
    const input = await attach({ style: 'data:text/plain;base64,aGVsbG8=', note: 'data:text/plain;base64,*' })
    expect(input.note).toBe('data:text/plain;base64,*')
    expect(await inputs.find('t', fileOf(input.style))).toMatchObject({ bytes: 5, media_type: 'text/plain' })
  })

  test('that was not accepted leaves no files behind, and its uploads unchanged', async () => {
    const { attach, inputs, upload, newId, left } = await scene()
    const { id: own } = await upload('mine')
    const id = newId()
    const input = await attach({ a: 'data:text/plain;sha256,1', b: uploadPath(own) }, { files: taken('hello'), id })
    expect(await left()).toHaveLength(2)
    await inputs.release([{ id, input }])
    expect(await left()).toEqual([own])
  })

  test('can reference only uploads of its tenant', async () => {
    const { attach, upload, left } = await scene()
    const { id } = await upload('words', 'other')
    const input = { a: [{ b: uploadPath(id) }], c: 'data:text/plain;sha256,1' }
    expect(await problems(attach(input, { files: taken('hello') }))).toEqual([['/a/0/b', 'unknown_upload']])
    expect(await left()).toEqual([id])
  })

  test('may not name what is going', async () => {
    const { attach, upload, inputs } = await scene()
    const record = await upload('words')
    await inputs.remove(record)
    expect(await problems(attach({ a: uploadPath(record.id) }))).toEqual([['/a', 'unknown_upload']])
  })

  test('is limited in bytes and in files', async () => {
    const { attach, upload } = await scene()
    const large = [await upload('a'.repeat(1400)), await upload('b'.repeat(601))]
    expect(await problems(attach({ a: large.map(({ id }) => uploadPath(id)) }))).toEqual([['', 'too_large']])
    const many = Array.from({ length: 33 }, () => uploadPath(`upl_${ulid()}`))
    expect(await problems(attach({ many }))).toEqual([['', 'too_many_files']])
  })

  test('of one of a thousand jobs shares its files with them', async () => {
    const { inputs, redis, keys, newId, left } = await scene()
    const applicants = Array.from({ length: 1001 }, () => ({ id: newId(), input: { a: 'data:text/plain;sha256,1' } }))
    const attached = await inputs.attach('t', applicants, taken('hello'))
    const file = fileOf(attached[1000]?.a)
    expect(await redis.scard(keys.uploadJobs(file))).toBe(1001)
    await inputs.release(applicants.map(({ id }, i) => ({ id, input: attached[i] ?? {} })))
    expect(await left()).toEqual([])
  })
})

function* cut(): Generator<Uint8Array> {
  yield Buffer.alloc(5000, 'a')
  throw new Error('the connection broke')
}
