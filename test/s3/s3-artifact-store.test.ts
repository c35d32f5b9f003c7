import { createHash, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ArtifactRefusedError, StorageTroubleError } from '../../src/shared/artifacts/artifact-store.ts'
import { createS3ArtifactStore, type S3Options } from '../../src/shared/artifacts/s3-artifact-store.ts'
import { createSpool } from '../../src/shared/artifacts/spool.ts'
import { freePort } from '../support/free-port.ts'
import { SLOW_DOWN, startS3Gate } from '../support/s3/s3-gate.ts'
import { s3IsTested, startS3Server, type S3Server } from '../support/s3/s3-server.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { tempDir } from '../support/temp-dir.ts'

const MB = 1024 * 1024
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
  yield* parts
}

const isTested = await s3IsTested()
let s3: S3Server
const closing: (() => void)[] = []

beforeAll(async () => {
  if (isTested) s3 = await startS3Server()
}, 600_000)
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function scene(options: Partial<S3Options> = {}) {
  const bucket = await s3.bucket()
  const folder = join(tempDir(), 'spool')
  const store = createS3ArtifactStore(
    {
      bucket,
      prefix: 'pre/fix',
      endpoint: s3.endpoint,
      region: s3.region,
      credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      forcePathStyle: true,
      presigned: false,
      ...options,
    },
    createSpool(folder, 50 * MB),
  )
  closing.push(store.close)
  return { bucket, store, keys: () => s3.keys(bucket), spooled: () => readdirSync(folder) }
}

const failure = async (work: Promise<unknown>): Promise<StorageTroubleError> => {
  try {
    await work
  } catch (error) {
    if (error instanceof StorageTroubleError) return error
    throw error
  }
  throw new Error('it worked')
}

describe.skipIf(!isTested)('in a bucket a file', () => {
  test('is stored complete, with its size, digest and type, and returned with its location', async () => {
    const { bucket, store, keys, spooled } = await scene()
    const bytes = randomBytes(3 * MB)
    const stored = await store.put(
      (type) => `t/${type.split(/[/;]/)[1]}`,
      chunks(bytes.subarray(0, MB), bytes.subarray(MB)),
      {
        maxBytes: 10 * MB,
        mediaType: 'text/plain; charset=utf-8',
        expectedBytes: bytes.length,
      },
    )
    expect(stored).toEqual({
      key: `s3://${bucket}/pre/fix/t/plain`,
      bytes: bytes.length,
      sha256: sha256(bytes),
      media_type: 'text/plain; charset=utf-8',
    })
    expect(await keys()).toEqual(['pre/fix/t/plain'])
    const stream = await store.open(stored.key)
    expect(stream && sha256(await buffer(stream))).toBe(stored.sha256)
    const head = await s3.client.send(new HeadObjectCommand({ Bucket: bucket, Key: 'pre/fix/t/plain' }))
    expect(head.ContentType).toBe('text/plain; charset=utf-8')
    expect(spooled()).toEqual([])
  })

  test('may be empty, and is read in ranges', async () => {
    const { store } = await scene()
    const empty = await store.put('t/empty', chunks(), { maxBytes: MB })
    const nothing = await store.open(empty.key)
    expect(nothing && (await text(nothing))).toBe('')
    const { key } = await store.put('t/a', chunks(Buffer.from('0123456789')), { maxBytes: MB })
    const part = await store.open(key, { start: 2, end: 4 })
    expect(part && (await text(part))).toBe(s3.hasRanges ? '234' : '012')
    expect(await store.open('t/none')).toBeNull()
  })

  test('written again replaces the one before; written many times at once is one of them', async () => {
    const { store, keys } = await scene()
    const bodies = Array.from({ length: 8 }, (_, i) => Buffer.alloc(100_000, String(i)))
    await store.put('t/a', chunks(Buffer.from('a first')), { maxBytes: MB })
    await Promise.all(bodies.map((body) => store.put('t/a', chunks(body), { maxBytes: MB })))
    expect(await keys()).toEqual(['pre/fix/t/a'])
    const stream = await store.open('t/a')
    const left = stream && (await buffer(stream))
    expect(bodies.some((body) => left?.equals(body))).toBe(true)
  })

  test('is removed by its key or with everything below a prefix, and nothing beside it', async () => {
    const { store, keys } = await scene()
    const stored = new Map<string, string>()
    for (const key of ['t/job_1/1/0', 't/job_1/2/0', 't/job_1/thumbnails/0', 't/job_12/1/0'])
      stored.set(key, (await store.put(key, chunks(Buffer.from('x')), { maxBytes: MB })).key)
    await store.remove([stored.get('t/job_1/2/0') ?? '', 't/job_1/none'])
    expect(await keys()).toEqual(['job_1/1/0', 'job_1/thumbnails/0', 'job_12/1/0'].map((key) => `pre/fix/t/${key}`))
    await store.removeAll('t/job_1')
    await store.removeAll('t/job_none')
    expect(await keys()).toEqual(['pre/fix/t/job_12/1/0'])
  })

  test('is not there when its body breaks off, is too long, or is not as long as announced', async () => {
    const { store, keys, spooled } = await scene()
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000)
      throw new Error('ECONNRESET')
    }
    await expect(store.put('t/a', broken(), { maxBytes: MB })).rejects.toThrow('ECONNRESET')
    const put = (options: { maxBytes: number; expectedBytes?: number }) =>
      store.put('t/a', chunks(Buffer.alloc(1000)), options)
    await expect(put({ maxBytes: 999 })).rejects.toBeInstanceOf(ArtifactRefusedError)
    await expect(put({ maxBytes: MB, expectedBytes: 1001 })).rejects.toBeInstanceOf(ArtifactRefusedError)
    await expect(store.put('../a', chunks(), { maxBytes: MB })).rejects.toThrow('not an artifact key')
    expect(await keys()).toEqual([])
    expect(spooled()).toEqual([])
  })

  test('is fetched by a link without credentials, as what and under which name was asked for, and not without it', async () => {
    const { store } = await scene({ presigned: true })
    const { key } = await store.put('t/a', chunks(Buffer.from('hello')), { maxBytes: MB })
    const shown = { seconds: 60, mediaType: 'image/png', disposition: 'attachment; filename="a.png"' }
    const link = new URL((await store.link(key, shown)) ?? '')
    const answer = await fetch(link)
    expect(await answer.text()).toBe('hello')
    expect(answer.headers.get('content-type')).toBe('image/png')
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="a.png"')
    expect(link.searchParams.get('X-Amz-Expires')).toBe('60')
    expect((await fetch(link.origin + link.pathname)).status).toBe(403)
    link.pathname += 'b'
    expect((await fetch(link)).status).toBe(403)
    const { store: proxied } = await scene()
    expect(await proxied.link('t/a', shown)).toBeNull()
  })
})

describe.skipIf(!isTested)('trouble', () => {
  test('SlowDown is reported as temporary; the next try stores the same file', async () => {
    let asked = 0
    const { endpoint } = await startS3Gate(s3, { answer: () => (++asked <= 2 ? SLOW_DOWN : null) })
    const { store, keys, spooled } = await scene({ endpoint })
    const put = () => store.put('t/a', chunks(Buffer.alloc(100_000, 'a')), { maxBytes: MB })
    const error = await failure(put())
    expect([error.lasting, error.message]).toEqual([false, expect.stringContaining('SlowDown')])
    expect(asked).toBeLessThanOrEqual(2)
    expect(spooled()).toEqual([])
    asked = 2
    expect((await put()).bytes).toBe(100_000)
    expect(await keys()).toEqual(['pre/fix/t/a'])
  })

  test('a reset in the middle of an upload leaves nothing, here and there; the next try stores the file', async () => {
    const proxy = await startTcpProxy({ port: s3.port })
    const { store, keys, spooled } = await scene({ endpoint: `http://127.0.0.1:${proxy.port}` })
    const bytes = randomBytes(5 * MB)
    const put = () => store.put('t/a', chunks(bytes), { maxBytes: 10 * MB })
    proxy.cutAfter(2 * MB, 'to-target')
    expect((await failure(put())).lasting).toBe(false)
    expect(await keys()).toEqual([])
    expect(spooled()).toEqual([])
    await proxy.heal()
    expect((await put()).sha256).toBe(sha256(bytes))
    const stream = await store.open('t/a')
    expect(stream && sha256(await buffer(stream))).toBe(sha256(bytes))
  })

  test('an upload that stands still is given up, and ends at once when the worker stops', async () => {
    const proxy = await startTcpProxy({ port: s3.port })
    const timeouts = { connect: 500, idle: 500, upload: 700, check: 300 }
    const { store, spooled } = await scene({ endpoint: `http://127.0.0.1:${proxy.port}`, timeouts })
    proxy.blackHole()
    const put = (signal?: AbortSignal) =>
      store.put('t/a', chunks(randomBytes(5 * MB)), { maxBytes: 10 * MB, ...(signal ? { signal } : {}) })
    expect((await failure(put())).lasting).toBe(false)
    expect(await store.check()).toMatchObject({ ok: true })
    const stopping = new AbortController()
    const stopped = put(stopping.signal)
    stopping.abort(new Error('the worker stops'))
    await expect(stopped).rejects.toThrow('the worker stops')
    expect(spooled()).toEqual([])
  })

  test('bytes that change on their way are refused by the server', async () => {
    const { endpoint } = await startS3Gate(s3, {
      spoil: (chunk) => {
        const spoiled = Buffer.from(chunk)
        spoiled[0] = (spoiled[0] ?? 0) ^ 1
        return spoiled
      },
    })
    const { store, keys } = await scene({ endpoint })
    const error = await failure(store.put('t/a', chunks(randomBytes(MB)), { maxBytes: 10 * MB }))
    expect(error.message).toContain('SHA256Mismatch')
    expect(error.lasting).toBe(false)
    expect(await keys()).toEqual([])
  })

  test.each<[string, () => Promise<Partial<S3Options>>, RegExp]>([
    ['no such bucket', async () => ({ bucket: 'no-such-bucket' }), /there is no bucket no-such-bucket/],
    [
      'a wrong secret',
      async () => ({ credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: 'wrong' } }),
      /refuses requests: .*403/,
    ],
    [
      'an unknown key',
      async () => ({ credentials: { accessKeyId: 'unknown', secretAccessKey: s3.secretAccessKey } }),
      /refuses requests: .*403/,
    ],
  ])('%s is permanent, and a check reports it', async (_what, options, words) => {
    const { store } = await scene(await options())
    expect(await store.check()).toEqual({ ok: false, detail: expect.stringMatching(words) })
    const error = await failure(store.put('t/a', chunks(Buffer.from('x')), { maxBytes: MB }))
    expect([error.lasting, error.message]).toEqual([true, expect.stringMatching(words)])
    for (const work of [() => store.open('t/a'), () => store.removeAll('t'), () => store.remove(['t/a'])])
      expect((await failure(work())).lasting).toBe(true)
  })

  test('an unreachable server is temporary, and a check of the right bucket passes', async () => {
    const { store } = await scene({ endpoint: `http://127.0.0.1:${await freePort()}` })
    expect(await store.check()).toEqual({ ok: true, detail: expect.stringContaining('ECONNREFUSED') })
    expect((await failure(store.put('t/a', chunks(Buffer.from('x')), { maxBytes: MB }))).lasting).toBe(false)
    const { store: well, bucket } = await scene()
    expect(await well.check()).toEqual({ ok: true, detail: `the bucket ${bucket} responds` })
  })
})
