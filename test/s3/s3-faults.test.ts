import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { finished, inPhase } from '../support/finished.ts'
import { SLOW_DOWN, startS3Gate, type S3Gate } from '../support/s3/s3-gate.ts'
import { s3IsTested, startS3Server, type S3Server } from '../support/s3/s3-server.ts'
import { spooled } from '../support/s3/spooled.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * What test/integration/output-faults.test.ts and output-trouble.test.ts show of a folder, with a bucket: the host of
 * outputs, the bucket and the disk on the way there are broken. Numbers are those of docs/failure-modes.md's list of tests.
 */

const MAX_BYTES = 400_000

const isTested = await s3IsTested()
const dataDir = tempDir()
const spool = join(dataDir, 'spool')
const log: string[] = []
let s3: S3Server
let gate: S3Gate
let bucket: string
let service: TestService

/** A server of this machine that must receive no request. */
let askedInside = 0
const inside = createServer((_request, response) => {
  askedInside++
  response.end('secret')
})

beforeAll(async () => {
  if (!isTested) return
  await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
  s3 = await startS3Server()
  gate = await startS3Gate(s3)
  bucket = await s3.bucket()
  service = await startService({
    timings: { ...PATIENT_TIMINGS, copyTimeout: 1500, storageTrouble: 300 },
    simulator: { speed: 50 },
    env: {
      DATA_DIR: dataDir,
      ARTIFACT_STORE: 's3',
      S3_BUCKET: bucket,
      S3_ENDPOINT: gate.endpoint,
      S3_REGION: s3.region,
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      MAX_ARTIFACT_BYTES: String(MAX_BYTES),
      LOG_LEVEL: 'debug',
    },
    onLog: (line) => void log.push(line),
  })
}, 600_000)
afterEach(async () => {
  if (!isTested) return
  gate.acts = {}
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
})
afterAll(async () => {
  if (isTested) await service.stop()
  inside.close()
})

const submit = (prompt: string): Promise<Job> =>
  service.client.submit({ model: 'black-forest-labs/flux-schnell', input: { prompt, megapixels: '0.25' } })
const triesOf = (id: string): string[] =>
  log.filter((line) => line.includes(id) && /not stored yet|could not be stored/.test(line))
const keysOf = async (id: string): Promise<string[]> => (await s3.keys(bucket)).filter((key) => key.includes(id))
const lost = (words: RegExp): object => ({
  status: 'failed',
  attempt: 1,
  artifacts: [],
  error: { code: 'output_not_stored', billed: 'yes', message: expect.stringMatching(words) },
})

/** In the bucket is one file, the one that was recorded; on the way there is none. */
async function expectStored(id: string): Promise<void> {
  const { status, attempt, artifacts } = await finished(service, id)
  expect([status, attempt, artifacts.length]).toEqual(['succeeded', 1, 1])
  const keys = await keysOf(id)
  expect(keys).toEqual([expect.stringMatching(/\/1\/0\.\w+$/)])
  const { Body } = await s3.client.send(new GetObjectCommand({ Bucket: bucket, Key: keys[0] }))
  const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifacts[0]?.sha256)
  expect(spooled(spool)).toEqual([])
}

describe.skipIf(!isTested)('with a bucket an output', () => {
  test('F32 that has expired is lost at once; nothing stands in the bucket', async () => {
    await service.simulator.faults({ files: { expired: { code: 404 } } })
    const { id } = await submit('F32')
    expect(await finished(service, id)).toMatchObject(lost(/responded with 404.*Not at Replicate: http/))
    expect(await keysOf(id)).toEqual([])
  })

  test.each<[what: string, fault: object]>([
    ['without end', { endless: {} }],
    ['that says to be too large', { wrong_length: { by: MAX_BYTES * 2 } }],
  ])('F44 %s is lost at once; no part stands in the bucket or on the way there', async (what, fault) => {
    await service.simulator.faults({ files: fault })
    const { id } = await submit(what)
    expect(await finished(service, id)).toMatchObject(lost(/larger than 400000 bytes/))
    // On a slow machine a copy may run into its timeout before; the refusal itself is final.
    expect(triesOf(id).filter((line) => line.includes('larger than'))).toHaveLength(1)
    expect(await keysOf(id)).toEqual([])
    expect(spooled(spool)).toEqual([])
  })

  test.each<[what: string, fault: () => object]>([
    ['trickled', () => ({ slow: { seconds: 60, next: 1 } })],
    ['broke off', () => ({ cut: { next: 1 } })],
    ['had a wrong length', () => ({ wrong_length: { by: 500, next: 1 } })],
    [
      'led to a private address',
      () => ({ redirect: { to: `http://127.0.0.1:${(inside.address() as AddressInfo).port}/`, next: 2 } }),
    ],
    ['led to the metadata of a cloud', () => ({ redirect: { next: 1 } })],
  ])('F44 that %s before is stored whole', async (what, fault) => {
    await service.simulator.faults({ files: fault() })
    const { id } = await submit(what)
    await expectStored(id)
    expect(triesOf(id).length).toBeGreaterThan(0)
    expect(askedInside).toBe(0)
  })

  test('F44 has the type and the name of its bytes, not the declared ones', async () => {
    await service.simulator.faults({ files: { wrong_type: { content_type: 'text/html' } } })
    const { id } = await submit('wrong type')
    await expectStored(id)
    expect(await keysOf(id)).toEqual([expect.stringMatching(/\/0\.webp$/)])
  })
})

describe.skipIf(!isTested)('F42 a bucket that', () => {
  test('answers SlowDown gets the file when it does not any more', async () => {
    let asked = 0
    gate.acts = { answer: () => (++asked <= 3 ? SLOW_DOWN : null) }
    const { id } = await submit('SlowDown')
    await expectStored(id)
    expect(triesOf(id).some((line) => line.includes('SlowDown'))).toBe(true)
  })

  test('keeps answering SlowDown pauses creation, and all resumes automatically', async () => {
    gate.acts = { answer: () => SLOW_DOWN }
    const first = await submit('SlowDown for long')
    await inPhase(service, first.id, 'storing')
    const made: string[] = []
    await waitFor('creation to rest', async () => {
      const { id } = await submit('SlowDown behind it')
      made.push(id)
      const now = await waitFor('a state', async () => {
        const job = await service.client.get(id)
        return (job.waiting_for?.reason === 'storage' || job.phase !== 'queued') && job
      })
      return now.waiting_for?.reason === 'storage'
    })
    expect(await keysOf(first.id)).toEqual([])
    gate.acts = {}
    for (const id of [first.id, ...made]) await finished(service, id)
    for (const id of [first.id, ...made]) await expectStored(id)
  })

  test('resets an upload in its middle shows nothing of it, and gets the file the next time', async () => {
    const before = gate.reset
    gate.acts = { resetAfter: 10_000 }
    const { id } = await submit('reset')
    await waitFor('a reset', () => gate.reset > before)
    expect(await keysOf(id)).toEqual([])
    gate.acts = {}
    await expectStored(id)
  })
})

test.skipIf(!isTested)('F42 while the disk before the bucket takes nothing, nothing is lost', async () => {
  // Its output comes when the disk takes nothing any more.
  await service.simulator.faults({ files: { delay: { seconds: 1.5, next: 1 } } })
  const { id } = await submit('no spool')
  await inPhase(service, id, 'storing')
  // A file blocks every write, also one of root. The readiness check may make the folder again between the two steps.
  await waitFor('a file in place of the folder', () => {
    try {
      rmSync(spool, { recursive: true, force: true })
      writeFileSync(spool, 'in the way')
      return true
    } catch {
      return false
    }
  })
  await waitFor('a try', () => triesOf(id).length > 0)
  expect((await service.client.get(id)).phase).toBe('storing')
  await waitFor('not to be ready', async () => (await fetch(`${service.url}/readyz`)).status === 503)
  rmSync(spool)
  mkdirSync(spool, { recursive: true })
  await expectStored(id)
})
