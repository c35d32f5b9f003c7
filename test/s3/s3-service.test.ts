import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CreateBucketCommand, DeleteObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeAll, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { s3IsTested, startS3Server, type S3Server } from '../support/s3/s3-server.ts'
import { spooled } from '../support/s3/spooled.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService, type TestServiceOptions } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'
import { damagedPhoto, dataUri } from '../simulator/support/media.ts'
import { noisyPicture } from '../support/picture.ts'

/** The whole service with a bucket: training sets as they were always stored, and a bucket that is not there. */

const isTested = await s3IsTested()
let s3: S3Server
let service: TestService | null = null

beforeAll(async () => {
  if (isTested) s3 = await startS3Server()
}, 600_000)
afterEach(async () => {
  await service?.stop()
  service = null
})

async function start(env: Record<string, string>, options: TestServiceOptions = {}): Promise<TestService> {
  service = await startService({
    timings: PATIENT_TIMINGS,
    simulator: { speed: 50 },
    ...options,
    env: {
      ARTIFACT_STORE: 's3',
      S3_ENDPOINT: s3.endpoint,
      S3_REGION: s3.region,
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      ...env,
    },
  })
  return service
}

const picture = (prompt: string) => ({
  model: 'black-forest-labs/flux-schnell',
  input: { prompt, megapixels: '0.25', output_format: 'jpg' },
})
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

test.skipIf(!isTested)(
  'a set of thirty training images stands in the bucket under its own path, whole, although three of them failed',
  async () => {
    const bucket = await s3.bucket()
    const dataDir = tempDir()
    const { client, simulator } = await start({
      S3_BUCKET: bucket,
      S3_KEY_PATTERN: 'training-images/{batch}/fox_training_{index:02}.{ext}',
      DATA_DIR: dataDir,
    })
    await simulator.faults({ predictions: { fail: { next: 3, error: 'NSFW content detected (E005)' } } })
    const { id } = await client.batch({
      preset: 'training-image',
      items: Array.from({ length: 30 }, (_, n) => ({ input: { prompt: `a small fox, picture ${n}`, seed: n } })),
    })
    const batch = await client.waitBatch(id)
    expect(batch).toMatchObject({ status: 'partial', counts: { total: 30, succeeded: 27, failed: 3 } })

    const made = (await client.batchManifest(id)).filter(({ status }) => status === 'succeeded')
    const keyOf = (position: number): string =>
      `training-images/${id}/fox_training_${String(position).padStart(2, '0')}.jpg`
    const stored = async (): Promise<string[]> =>
      (await s3.keys(bucket)).filter((key) => key.startsWith('training-images/'))
    expect(await stored()).toEqual(made.map(({ position }) => keyOf(position)).sort())
    for (const { position, artifacts } of made) {
      const [artifact] = artifacts
      const { Body } = await s3.client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(position) }))
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
      expect([bytes.length, digest(bytes)]).toEqual([artifact?.bytes, artifact?.sha256])
      expect(artifact?.location).toBe(`s3://${bucket}/${keyOf(position)}`)
    }
    const [first] = made
    if (!first) throw new Error('nothing was made')
    const read = await fetch(first.artifacts[0]?.url ?? '')
    expect(digest(new Uint8Array(await read.arrayBuffer()))).toBe(first.artifacts[0]?.sha256)
    expect(read.headers.get('content-type')).toBe('image/jpeg')

    // What is tried again stands at the places that were left empty.
    const again = await client.waitBatch((await client.retryBatch(id)).id)
    expect(again).toMatchObject({ status: 'succeeded', counts: { total: 3 } })
    expect(await stored()).toEqual(Array.from({ length: 30 }, (_, position) => keyOf(position)))

    const all = await s3.keys(bucket)
    await client.delete(first.job)
    const left = await s3.keys(bucket)
    expect(left).not.toContain(keyOf(first.position))
    // The picture and its small one.
    expect(left).toHaveLength(all.length - 2)
    expect(existsSync(join(dataDir, 'artifacts'))).toBe(false)
    expect(spooled(join(dataDir, 'spool'))).toEqual([])
  },
)

test.skipIf(!isTested)(
  'readers are sent to the bucket when that is wished, and Studio may show what is there',
  async () => {
    const bucket = await s3.bucket()
    const { client, url, redis, keys } = await start({
      S3_BUCKET: bucket,
      S3_PREFIX: 'genqueue',
      S3_DOWNLOADS: 'presigned',
      KEEP_FILES: 'forever',
    })
    const { artifacts, tenant, id } = await finished({ client }, (await client.submit(picture('sent away'))).id)
    const [artifact] = artifacts
    const answer = await fetch(artifact?.url ?? '', { redirect: 'manual' })
    expect(answer.status).toBe(302)
    const location = new URL(answer.headers.get('location') ?? '')
    expect(location.origin).toBe(s3.endpoint)
    expect(location.pathname).toBe(`/${bucket}/genqueue/${tenant}/${id}/1/0.jpg`)
    const read = await fetch(location)
    expect(digest(new Uint8Array(await read.arrayBuffer()))).toBe(artifact?.sha256)
    expect(read.headers.get('content-disposition')).toBe(`inline; filename="${artifact?.name}"`)
    const page = await fetch(`${url}/livez`)
    expect(page.headers.get('content-security-policy')).toContain(`img-src 'self' data: blob: ${s3.endpoint}`)
    // Nobody gets a link who may not see the file.
    expect((await fetch(`${url}/v1/artifacts/${artifact?.id}`, { redirect: 'manual' })).status).toBe(401)
    const own = await fetch(`${url}/v1/artifacts/${artifact?.id}`, {
      redirect: 'manual',
      headers: { authorization: `Bearer ${TEST_KEY}` },
    })
    expect(own.status).toBe(302)

    // A lasting link is sent there too, without a record, until the file is gone.
    const { artifacts: linked } = await client.get(id, { links: 'lasting' })
    await redis.hset(keys.job(id), 'completed_at', String(Date.now() - 8 * 24 * 3_600_000))
    await redis.zadd(keys.retention, '0', id)
    await waitFor('the record to be gone', async () => (await redis.exists(keys.job(id))) === 0)
    expect(await s3.keys(bucket)).toContain(`genqueue/${tenant}/${id}/1/0.jpg`)
    const sent = await fetch(linked[0]?.url ?? '')
    expect(digest(new Uint8Array(await sent.arrayBuffer()))).toBe(artifact?.sha256)
    await s3.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `genqueue/${tenant}/${id}/1/0.jpg` }))
    expect((await fetch(linked[0]?.url ?? '', { redirect: 'manual' })).status).toBe(404)
  },
)

test.skipIf(!isTested)(
  'files of inputs are in the bucket, are handed over from there, and go with their job',
  async () => {
    const bucket = await s3.bucket()
    const dataDir = tempDir()
    const { client, url, redis, keys } = await start({ S3_BUCKET: bucket, S3_PREFIX: 'genqueue', DATA_DIR: dataDir })
    const [small, large] = [await damagedPhoto(), await noisyPicture(400)]
    const upload = await client.upload(new Blob([new Uint8Array(small)]))
    const restore = (input_image: string) => client.submit({ preset: 'restore-image', input: { input_image } })
    const [named, inline] = [await restore(upload.url), await restore(dataUri(large, 'image/png'))]
    for (const { id } of [named, inline]) expect(await finished({ client }, id)).toMatchObject({ status: 'succeeded' })
    const inputs = async (): Promise<string[]> =>
      (await s3.keys(bucket)).filter((key) => key.startsWith('genqueue/default/inputs/'))
    const path = String(inline.input?.input_image)
    const idOf = (file: string): string => file.replace(/^.*\/v1\/uploads\//, '')
    expect((await inputs()).sort()).toEqual(
      [upload.url, path].map((file) => `genqueue/default/inputs/${idOf(file)}/file`).sort(),
    )
    const read = await fetch(new URL(path, url), { headers: { authorization: `Bearer ${TEST_KEY}` } })
    expect(digest(new Uint8Array(await read.arrayBuffer()))).toBe(digest(large))

    await redis.hset(keys.job(inline.id), 'completed_at', String(Date.now() - 25 * 3_600_000))
    await redis.zadd(keys.retention, '0', inline.id)
    await waitFor('the file to be gone', async () => (await inputs()).length === 1)
    expect(existsSync(join(dataDir, 'artifacts'))).toBe(false)
    expect(spooled(join(dataDir, 'spool'))).toEqual([])
  },
)

test.skipIf(!isTested)(
  'a missing bucket is reported at startup and pauses creation at once; all resumes when it exists',
  async () => {
    const name = `late-${Date.now()}`
    const log: string[] = []
    const { client, url } = await start(
      { S3_BUCKET: name, LOG_LEVEL: 'info' },
      { onLog: (line) => void log.push(line), timings: { ...PATIENT_TIMINGS, storageTrouble: 60_000 } },
    )
    await waitFor('the log line', () => log.some((line) => line.includes(`there is no bucket ${name}`)))
    const readiness = (await (await fetch(`${url}/readyz`)).json()) as { checks: { storage: unknown } }
    expect(readiness.checks.storage).toEqual({ ok: false, detail: `there is no bucket ${name}` })
    const first = await client.submit(picture('first'))
    const second = await waitFor('creation to rest', async () => {
      const job = await client.submit(picture('second'))
      const now = await waitFor('a state', async () => {
        const seen: Job = await client.get(job.id)
        return (seen.waiting_for?.reason === 'storage' || seen.phase !== 'queued') && seen
      })
      return now.waiting_for?.reason === 'storage' && now
    })
    await s3.client.send(new CreateBucketCommand({ Bucket: name }))
    for (const { id } of [first, second]) expect((await finished({ client }, id)).status).toBe('succeeded')
  },
)
