import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Artifact, Job } from '../../src/client/types.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { createStoredPlaces } from '../../src/shared/artifacts/stored-places.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { auditDeployment } from '../support/audit.ts'
import { finished } from '../support/finished.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** Metadata of stored files, and how they are served. */

const dataDir = tempDir()
let service: TestService
let job: Job
let large: Artifact

beforeAll(async () => {
  const prefix = freshPrefix()
  // As a process with this bucket left it.
  const redis = new Redis(testRedisUrl())
  await redis.set(createJobKeys(prefix).bucket, 'former')
  redis.disconnect()
  service = await startService({ simulator: { speed: 50 }, env: { DATA_DIR: dataDir, KEY_PREFIX: prefix } })
  const { id } = await service.client.submit({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'a wide lake', aspect_ratio: '16:9', megapixels: '1', num_outputs: 2 },
  })
  job = await finished(service, id)
  large = job.artifacts[0] as Artifact
})
afterAll(() => service.stop())

const bytesAt = async (path: string | null): Promise<Buffer> =>
  Buffer.from(await (await fetch(new URL(path ?? '', service.url))).arrayBuffer())
const statusOf = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
  (await fetch(new URL(path, service.url), { headers })).status

describe('a picture', () => {
  test('has its size, the end of its time, and no place in a bucket', async () => {
    const { width, height } = await sharp(await bytesAt(large.url)).metadata()
    expect(large).toMatchObject({ width, height, duration: null, location: null })
    const kept = Date.parse(large.expires_at ?? '') - Date.parse(job.completed_at ?? '')
    expect(kept).toBe(7 * 24 * 3_600_000)
  })

  test('has a thumbnail with its own link', async () => {
    const answer = await fetch(large.thumbnail_url ?? '')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('image/webp')
    expect(answer.headers.get('content-disposition')).toBe(
      `inline; filename="${large.name.replace('.webp', '-small.webp')}"`,
    )
    const small = Buffer.from(await answer.arrayBuffer())
    expect(Number(answer.headers.get('content-length'))).toBe(small.length)
    expect(await sharp(small).metadata()).toMatchObject({ format: 'webp', width: 512 })
    expect(small.length).toBeLessThan(large.bytes)
    expect(readdirSync(join(dataDir, 'artifacts', job.tenant, job.id, 'thumbnails'))).toEqual(['1-0.webp', '1-1.webp'])
  })

  test('is opened by its own signature, a key, and nothing else', async () => {
    const other = job.artifacts[1] as Artifact
    const query = (large.thumbnail_url ?? '').split('?')[1]
    const path = `/v1/artifacts/${large.id}/thumbnail`
    expect(await statusOf(`${path}?${query}`)).toBe(200)
    expect(await statusOf(`/v1/artifacts/${other.id}/thumbnail?${query}`)).toBe(403)
    expect(await statusOf(path)).toBe(401)
    expect(await statusOf(path, { authorization: `Bearer ${TEST_KEY}` })).toBe(200)
    expect(await statusOf(`${path}s`, { authorization: `Bearer ${TEST_KEY}` })).toBe(404)
  })

  test('that is small has none', async () => {
    const { id } = await service.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'a pond', megapixels: '0.25', aspect_ratio: '1:1' },
    })
    const {
      artifacts: [artifact],
    } = await finished(service, id)
    expect(artifact).toMatchObject({ width: 512, height: 512, thumbnail_url: null })
    const path = `/v1/artifacts/${artifact?.id}/thumbnail`
    expect(await statusOf(path, { authorization: `Bearer ${TEST_KEY}` })).toBe(404)
  })
})

describe('a download', () => {
  const dispositionOf = async (path: string): Promise<string | null> =>
    (await fetch(new URL(path, service.url))).headers.get('content-disposition')

  test('is asked for by download=1, and has the name that the job shows', async () => {
    expect(job.artifacts.map(({ name }) => name)).toEqual(
      [1, 2].map((number) => `flux-schnell-${job.id.replace('job_', '')}-${number}.webp`),
    )
    for (const { url, name } of job.artifacts) {
      expect(await dispositionOf(url)).toBe(`inline; filename="${name}"`)
      expect(await dispositionOf(`${url}&download=1`)).toBe(`attachment; filename="${name}"`)
    }
    const small = `${large.thumbnail_url}&download=1`
    expect(await dispositionOf(small)).toBe(`attachment; filename="${large.name.replace('.webp', '-small.webp')}"`)
  })

  test('takes no other word', async () => {
    for (const query of ['download=0', 'download=', 'download=yes', 'download=1&download=1']) {
      const answer = await fetch(`${large.url}&${query}`)
      expect([query, answer.status]).toEqual([query, 422])
      expect(await answer.json()).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/download' }] })
    }
  })

  test('of an upload is asked for in the same way', async () => {
    const headers = { authorization: `Bearer ${TEST_KEY}` }
    const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
    const form = new FormData()
    form.set('file', new Blob([Uint8Array.from(picture)], { type: 'image/png' }), 'red.png')
    const made = await fetch(`${service.url}/v1/uploads`, { method: 'POST', headers, body: form })
    const { id } = (await made.json()) as { id: string }
    const answer = async (query: string) =>
      (await fetch(`${service.url}/v1/uploads/${id}${query}`, { headers })).headers.get('content-disposition')
    expect(await answer('')).toBe(`inline; filename="${id}.png"`)
    expect(await answer('?download=1')).toBe(`attachment; filename="${id}.png"`)
  })
})

test('a film has its size and duration', async () => {
  const picture = await sharp({ create: { width: 160, height: 120, channels: 3, background: { r: 9, g: 90, b: 160 } } })
    .png()
    .toBuffer()
  const head = Buffer.from(
    '524946462400000057415645666d74201000000001000100401f0000803e0000020010006461746100000000',
    'hex',
  )
  const sound = Buffer.concat([head, Buffer.alloc(16_000)])
  sound.writeUInt32LE(16_000, 40)
  const { id } = await service.client.submit({
    preset: 'lip-sync',
    input: {
      prompt: 'she sings',
      image: `data:image/png;base64,${picture.toString('base64')}`,
      audio: `data:audio/wav;base64,${sound.toString('base64')}`,
    },
  })
  const {
    artifacts: [film],
    error,
  } = await finished(service, id)
  expect(error).toBeNull()
  expect(film).toMatchObject({ media_type: 'video/mp4', thumbnail_url: null })
  expect((film?.width ?? 0) / (film?.height ?? 1)).toBeCloseTo(4 / 3, 1)
  expect(film?.duration).toBeGreaterThan(0)
  expect(
    createHash('sha256')
      .update(await bytesAt(film?.url ?? ''))
      .digest('hex'),
  ).toBe(film?.sha256)
})

describe('a bucket that was taken out of the configuration', () => {
  let stored: Job
  beforeAll(async () => {
    const input = { prompt: 'in a bucket', megapixels: '0.25', num_outputs: 2 }
    const { id } = await service.client.submit({ model: 'black-forest-labs/flux-schnell', input })
    stored = await finished(service, id)
    const result = service.keys.documents(id)[1] ?? ''
    const text = (await service.redis.get(result)) ?? ''
    const moved = text.replaceAll(`"key":"${stored.tenant}/`, `"key":"s3://former/${stored.tenant}/`)
    expect(moved).not.toBe(text)
    await service.redis.set(result, moved)
  })

  test('is reported from the start', async () => {
    const detail = 'files in the bucket former are out of reach: S3_BUCKET is not set'
    const health = await waitFor('the condition', async () => {
      const found = await service.client.health()
      return found.conditions.some(({ name }) => name === 'bucket_unset') && found
    })
    expect(health.conditions).toMatchObject([{ name: 'bucket_unset', detail, stops_creation: false }])
    const ready = await fetch(`${service.url}/readyz`)
    expect(ready.status).toBe(200)
    expect(await ready.text()).toContain(detail)
  })

  test('refuses its files by name, and deletes no job whose files it cannot remove', async () => {
    const headers = { authorization: `Bearer ${TEST_KEY}` }
    for (const { url } of stored.artifacts) {
      const answer = await fetch(url)
      expect(answer.status).toBe(503)
      expect(await answer.json()).toMatchObject({ code: 'storage_unavailable' })
    }
    const refused = await fetch(`${service.url}/v1/jobs/${stored.id}`, { method: 'DELETE', headers })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ code: 'storage_unavailable' })
    expect(await service.client.get(stored.id)).toMatchObject({ status: 'succeeded' })
  })

  test('is one finding of the audit for each file', async () => {
    const { redis, keys } = service
    const disk = createDiskArtifactStore(join(dataDir, 'artifacts'))
    const findings = await auditDeployment({
      redis,
      keys,
      artifacts: createStoredPlaces({ disk, bucket: null }, 'disk'),
    })
    expect(findings.map(({ invariant, id, detail }) => `${invariant} ${id} ${detail}`)).toEqual(
      stored.artifacts.map(
        ({ id }) =>
          `artifact_stored ${stored.id} ${id}: cannot be read: the file is in the bucket former, and S3_BUCKET is not set`,
      ),
    )
  })
})
