import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StorageTroubleError } from '../../src/shared/artifacts/artifact-store.ts'
import { createS3ArtifactStore } from '../../src/shared/artifacts/s3-artifact-store.ts'
import { createSpool } from '../../src/shared/artifacts/spool.ts'
import { tempDir } from '../support/temp-dir.ts'

/** A bucket whose PUT always answers 200; what its HEAD answers is up to the test. */
let head: { status: number; headers: Record<string, string> } = { status: 404, headers: {} }
const seen: string[] = []
const server = createServer((request, response) => {
  seen.push(`${request.method} ${request.url?.split('?')[0]}`)
  request.resume().on('end', () => {
    if (request.method === 'HEAD') response.writeHead(head.status, head.headers).end()
    else response.writeHead(200).end()
  })
})
let store: ReturnType<typeof createS3ArtifactStore>
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const options = {
    bucket: 'b',
    prefix: '',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 's' },
    forcePathStyle: true,
    presigned: false,
  }
  store = createS3ArtifactStore(options, createSpool(join(tempDir(), 'spool'), 1_000_000))
})
afterAll(() => {
  store.close()
  server.closeAllConnections()
  server.close()
})

const BODY = Buffer.from('an artifact')
const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64')
const put = () => store.put('t/j/0.txt', Readable.from([BODY]), { maxBytes: 1000 })
const length = String(BODY.length)

test.each([
  ['without storing it', 404, {}, 'accepted an object but does not have it'],
  ['but kept a part of it', 200, { 'content-length': '3' }, '3 of 11 bytes'],
  [
    'but kept other bytes',
    200,
    { 'content-length': length, 'x-amz-checksum-sha256': digestOf(Buffer.from('x')) },
    'another',
  ],
])('a bucket that answers 200 %s is failing, and nothing counts as stored', async (_what, status, headers, words) => {
  head = { status, headers }
  const error: unknown = await put().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StorageTroubleError)
  expect(error).toMatchObject({ lasting: false, message: expect.stringContaining(words) })
})

test.each([{}, { 'x-amz-checksum-sha256': digestOf(BODY) }])(
  'a bucket that has what it was sent is believed: %j',
  async (more) => {
    head = { status: 200, headers: { 'content-length': length, ...more } }
    seen.length = 0
    expect(await put()).toMatchObject({ key: 's3://b/t/j/0.txt', bytes: BODY.length })
    expect(seen).toEqual(['PUT /b/t/j/0.txt', 'HEAD /b/t/j/0.txt'])
  },
)
