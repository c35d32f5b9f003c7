import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { createOutputFetcher, OutputFetchError, type OutputFetcher } from '../../src/shared/artifacts/output-fetcher.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** The configured upstream: private, and yet allowed, because it is exactly this origin. */
let upstream: string
/** Another server of this machine: never to be asked. */
let inside: string
let answer: (request: IncomingMessage, response: ServerResponse) => void
let asked: IncomingMessage[] = []
let askedInside = 0
let fetcher: OutputFetcher
const stops: (() => void)[] = []

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  upstream = await serve((request, response) => {
    asked.push(request)
    answer(request, response)
  })
  inside = await serve((_request, response) => {
    askedInside++
    response.end('secret')
  })
  fetcher = createOutputFetcher({ upstreamBaseUrl: `${upstream}/v1`, connectTimeout: 30_000 })
})
afterEach(() => {
  asked = []
})
afterAll(async () => {
  await fetcher.close()
  for (const stop of stops) stop()
})

/** A time limit, ms. The default is longer than a test lasts: a limit that is not applied fails the test. */
const signal = (ms = 3_600_000): AbortSignal => AbortSignal.timeout(ms)
const failure = async (url: string, ms?: number): Promise<OutputFetchError> => {
  try {
    await fetcher.open(url, signal(ms))
  } catch (error) {
    if (error instanceof OutputFetchError) return error
    throw error
  }
  throw new Error(`${url} was opened`)
}

describe('an output of upstream itself', () => {
  test('is fetched without credentials and without compression', async () => {
    answer = (_request, response) => response.writeHead(200, { 'content-length': 5 }).end('hello')
    const file = await fetcher.open(`${upstream}/files/a.txt`, signal())
    expect(file.bytes).toBe(5)
    expect((await buffer(Readable.from(file.body))).toString()).toBe('hello')
    expect(asked[0]?.headers).toMatchObject({ 'accept-encoding': 'identity' })
    expect(asked[0]?.headers.authorization).toBeUndefined()
    expect(asked[0]?.headers.cookie).toBeUndefined()
  })

  test.each([
    [404, true],
    [410, true],
    [403, false],
    [429, false],
    [500, false],
    [503, false],
    [204, false],
    [206, false],
  ])('that answers %i is gone for good: %s', async (status, gone) => {
    answer = (_request, response) => response.writeHead(status).end()
    expect((await failure(`${upstream}/files/x`)).gone).toBe(gone)
  })

  test('is not followed elsewhere', async () => {
    for (const location of ['http://169.254.169.254/latest/meta-data', `${inside}/`, `${upstream}/files/other`]) {
      answer = (_request, response) => response.writeHead(302, { location }).end()
      await failure(`${upstream}/files/x`)
    }
    expect(asked).toHaveLength(3)
    expect(askedInside).toBe(0)
  })

  test.each([
    '/_sim/secret',
    '/v1/webhooks/default/secret',
    '/files',
    '/files/../_sim/secret',
    '/files/%2e%2e/_sim/secret',
  ])('is none when it is another path of that origin: %s', async (path) => {
    answer = (_request, response) => response.writeHead(200).end('a secret')
    expect(await failure(upstream + path)).toMatchObject({ gone: true })
    expect(await failure((upstream + path).replace('http:', 'https:'))).toMatchObject({ gone: true })
    expect(asked).toEqual([])
  })

  test('in a compressed body is refused', async () => {
    const body = gzipSync(Buffer.alloc(1_000_000))
    answer = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body)
    expect((await failure(`${upstream}/files/x`)).gone).toBe(false)
  })

  test('that never answers is given up in time', async () => {
    answer = () => undefined
    expect((await failure(`${upstream}/files/x`, 200)).gone).toBe(false)
  })

  test('that trickles is given up in time, and leaves no file', async () => {
    answer = (_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    }
    const root = tempDir()
    const late = new AbortController()
    const file = await fetcher.open(`${upstream}/files/x`, late.signal)
    // The limit is reached while the body trickles, however slow the machine is.
    setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), 200)
    await expect(createDiskArtifactStore(root).put('a', file.body, { maxBytes: 1000 })).rejects.toThrow()
    expect(await createDiskArtifactStore(root).open('a')).toBeNull()
  })

  test('is complete even if reading starts late', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: unknown = runInNewContext('gc')
    const whole = Buffer.alloc(300_000, 'whole')
    answer = (_request, response) => response.writeHead(200).end(whole)
    const files = await Promise.all(Array.from({ length: 20 }, () => fetcher.open(`${upstream}/files/x`, signal())))
    for (let i = 0; i < 10; i++) {
      if (typeof collectGarbage === 'function') collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    for (const { body } of files) expect((await buffer(Readable.from(body))).equals(whole)).toBe(true)
  })

  test('that breaks off before it is read fails the reader', async () => {
    let ended = false
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('only this', () => response.destroy())
      response.on('close', () => (ended = true))
    }
    const file = await fetcher.open(`${upstream}/files/x`, signal())
    await waitFor('the end of the connection', () => ended)
    await expect(buffer(Readable.from(file.body))).rejects.toThrow()
  })

  test('that is abandoned unread is closed upstream', async () => {
    let ended = false
    answer = (_request, response) => {
      response.on('close', () => (ended = true))
      Readable.from(endless())
        .on('error', () => undefined)
        .pipe(response)
    }
    function* endless(): Generator<Buffer> {
      for (;;) yield Buffer.alloc(100_000)
    }
    const { body } = await fetcher.open(`${upstream}/files/x`, signal())
    const put = createDiskArtifactStore(tempDir()).put('a', body, { maxBytes: 100, expectedBytes: 101 })
    await expect(put).rejects.toThrow('larger than 100 bytes')
    await waitFor('the end of the connection', () => ended)
  })

  test('shorter than announced is refused by the store', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('only this', () => response.destroy())
    }
    const file = await fetcher.open(`${upstream}/files/x`, signal())
    const store = createDiskArtifactStore(tempDir())
    await expect(store.put('a', file.body, { maxBytes: 1000, expectedBytes: file.bytes })).rejects.toThrow()
    expect(await store.open('a')).toBeNull()
  })
})

describe('an address that no output has', () => {
  const port = (): string => new URL(inside).port
  test.each<[string, () => string]>([
    ['plain http', () => 'http://example.com/x'],
    ['http to this machine', () => `${inside}/`],
    ['this machine', () => `https://127.0.0.1:${port()}/`],
    ['this machine by name', () => `https://localhost:${port()}/`],
    ['127.1', () => `https://127.1:${port()}/`],
    ['hexadecimal', () => `https://0x7f.1:${port()}/`],
    ['one number', () => `https://2130706433:${port()}/`],
    ['octal', () => `https://0177.0.0.1:${port()}/`],
    ['circled digits', () => `https://①②⑦.⓪.⓪.①:${port()}/`],
    ['ideographic stops', () => `https://127。0。0。1:${port()}/`],
    ['zero', () => `https://0:${port()}/`],
    ['IPv6', () => `https://[::1]:${port()}/`],
    ['mapped', () => `https://[::ffff:127.0.0.1]:${port()}/`],
    ['mapped, in hexadecimal', () => `https://[::ffff:7f00:1]:${port()}/`],
    ['a private network', () => 'https://10.0.0.1/'],
    ['the metadata of a cloud', () => 'https://169.254.169.254/latest/meta-data'],
    ['the metadata in IPv6', () => 'https://[fd00:ec2::254]/'],
    ['a wire server', () => 'https://168.63.129.16/'],
    ['a name and a password', () => 'https://user:pass@example.com/'],
    ['the upstream’s host on another port', () => `https://127.0.0.1:${port()}/v1`],
    ['a name that looks like upstream', () => upstream.replace('127.0.0.1', '127.0.0.1.evil.invalid')],
    ['Redis', () => 'http://127.0.0.1:6379/'],
  ])('is refused for good: %s', async (_what, url) => {
    const error = await failure(url())
    expect([error.message, error.gone]).toEqual([expect.any(String), true])
    expect(askedInside).toBe(0)
  })

  test('that does not resolve may do so later', async () => {
    expect((await failure('https://no-such-host.invalid/x')).gone).toBe(false)
  })
})
