import { createHash } from 'node:crypto'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { paidPicture, startScenarios, type Scenario } from '../chaos/scenario.ts'
import { startS3Gate, type S3Gate } from '../support/s3/s3-gate.ts'
import { s3IsTested, startS3Server, type S3Server } from '../support/s3/s3-server.ts'
import { waitFor } from '../support/wait-for.ts'

/** A worker dies on the way of a file to the bucket. Numbers are those of docs/failure-modes.md's list of tests. */

const isTested = await s3IsTested()
let s3: S3Server
let gate: S3Gate
let bucket: string
let s: Scenario

beforeAll(async () => {
  if (!isTested) return
  s3 = await startS3Server()
  gate = await startS3Gate(s3)
  bucket = await s3.bucket()
  s = await startScenarios({
    env: {
      ARTIFACT_STORE: 's3',
      S3_BUCKET: bucket,
      S3_ENDPOINT: gate.endpoint,
      S3_REGION: s3.region,
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    },
  })
}, 600_000)
afterEach(async () => {
  if (isTested) await s.noWorkers()
})
afterAll(async () => {
  if (isTested) await s.stop()
})

const keysOf = async (id: string): Promise<string[]> => (await s3.keys(bucket)).filter((key) => key.includes(id))

/** One file, once, under the name that it has at any try; and paid once. */
async function expectOnce(id: string): Promise<void> {
  await s.worker()
  const job = await s.finished(id)
  expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
  expect(await s.movements(id)).toEqual(['hold 3000', 'capture 3000'])
  expect(await s.rows(id)).toHaveLength(1)
  const [artifact] = job.artifacts
  const keys = await keysOf(id)
  expect(keys.filter((key) => !key.includes('thumbnails'))).toEqual([`${job.tenant}/${id}/1/0.webp`])
  const { Body } = await s3.client.send(new GetObjectCommand({ Bucket: bucket, Key: `${job.tenant}/${id}/1/0.webp` }))
  const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
  expect([bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([artifact?.bytes, artifact?.sha256])
}

test.skipIf(!isTested).each([
  ['F7 in the middle of a copy', 'store:copy:middle'],
  ['F8 between copy and commit', 'commit:stored:before'],
] as const)('%s to a bucket: the file is there once, whole, and paid once', async (where, border) => {
  const { id } = await s.client.submit(paidPicture(where))
  await s.killedAt(border)
  await expectOnce(id)
})

test.skipIf(!isTested)('F7 in the middle of an upload: nothing of it shows, and the file is put again', async () => {
  gate.acts = { holdAfter: 10_000 }
  const { id } = await s.client.submit(paidPicture('F7 upload'))
  const worker = await s.worker()
  await waitFor('half of an upload', () => gate.held > 0)
  await worker.kill('SIGKILL')
  gate.acts = {}
  expect(await keysOf(id)).toEqual([])
  await expectOnce(id)
})
