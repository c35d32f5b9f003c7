import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readdir } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createLongTexts } from '../../src/shared/artifacts/long-texts.ts'
import { createReplicateAdapter } from '../../src/shared/replicate/replicate-adapter.ts'
import { tempDir } from '../support/temp-dir.ts'

const answers = new Map<string, string>()
const server = createServer((request, response) => {
  response
    .writeHead(200, { 'content-type': 'application/json', connection: 'close' })
    .end(answers.get(request.url ?? '') ?? '{}')
})
let upstream: ReturnType<typeof createReplicateAdapter>
const folder = tempDir()

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  upstream = createReplicateAdapter({
    token: 'r8_t',
    baseUrl: `http://127.0.0.1:${port}/v1`,
    connectTimeout: 2000,
    createTimeout: 10_000,
    readTimeout: 10_000,
    uploadTimeout: 10_000,
    copyTimeout: 60_000,
  })
})
afterAll(async () => {
  await upstream.close()
  server.closeAllConnections()
  server.close()
})

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

const { signal } = new AbortController()
const answerWith = (id: string, body: object): void =>
  void answers.set(`/v1/predictions/${id}`, JSON.stringify({ id, status: 'succeeded', ...body }))
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
async function bytesOf(body: AsyncIterable<Buffer> | null): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The output of an answer, with what went aside. */
async function outputOf(id: string, maxBytes = 100_000_000) {
  const texts = createLongTexts(folder, maxBytes)()
  const outcome = await upstream.output(id, texts, signal)
  ends.push(() => texts.remove())
  return { texts, outcome, output: outcome.kind === 'prediction' ? outcome.prediction.output : undefined }
}

describe('an output', () => {
  test('of large data URIs: each becomes its bytes again, and no memory holds them all', async () => {
    const files = [5_000_000, 5_000_001, 5_000_002, 300].map((length) => randomBytes(length))
    const uris = files.map((file) => `data:image/png;base64,${file.toString('base64')}`)
    answerWith('uris', {
      output: { images: uris, n: 1 },
      logs: 'x'.repeat(20_000_000),
      input: { a: 'y'.repeat(5_000_000) },
    })
    const { texts, output } = await outputOf('uris')
    const { images } = output as { images: string[] }
    expect(images[3]).toBe(uris[3])
    expect(JSON.stringify(output).length).toBeLessThan(2000)
    for (const [i, image] of images.slice(0, 3).entries()) {
      expect(image).toMatch(/^data:image\/png;/)
      expect(sha256(await bytesOf(texts.file(image)))).toBe(sha256(files[i] ?? Buffer.alloc(0)))
    }
    expect(texts.file(images[3] ?? '')).toBeNull()
    await texts.remove()
    expect(await readdir(folder)).toEqual([])
  })

  test.each([
    ['text/plain', `data:text/plain,${'a%20%C3%A9.'.repeat(60_000)}`],
    ['text/plain', `data:text/plain;charset=utf-8;BASE64,${Buffer.from('é'.repeat(300_001)).toString('base64')}`],
    [
      'text/x',
      `data:text/x;base64,${Buffer.from('z'.repeat(400_000))
        .toString('base64')
        .replace(/(.{76})/g, '$1\n')}`,
    ],
    ['text/x', `data:text/x;base64,${encodeURIComponent(randomBytes(300_000).toString('base64'))}`],
  ])('of a data URI of %s is what fetch makes of it', async (type, uri) => {
    answerWith('uri', { output: uri })
    const { texts, output } = await outputOf('uri')
    expect(String(output)).toMatch(new RegExp(`^data:${type};long,`))
    const expected = Buffer.from(await (await fetch(uri)).arrayBuffer())
    expect(sha256(await bytesOf(texts.file(String(output))))).toBe(sha256(expected))
  })

  test.each([
    ['plain', 'word '.repeat(100_000)],
    ['full of escapes', '"\\\n\t\u0001/'.repeat(60_000)],
    ['of many alphabets', 'aé中😀\ud800'.repeat(50_000).toWellFormed()],
  ])('of a long text, %s, is put together again as text and as JSON', async (_what, text) => {
    for (const escaped of [false, true]) {
      const body = JSON.stringify({ id: 'text', status: 'succeeded', output: [text, 'short', { t: text }] })
      const ascii = body.replaceAll(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
      answers.set('/v1/predictions/text', escaped ? ascii : body)
      const { texts, output } = await outputOf('text')
      const [first] = output as string[]
      expect(texts.isIn(JSON.stringify(output))).toBe(true)
      expect((await bytesOf(texts.fill(`<${first}>`, 'text'))).toString()).toBe(`<${text}>`)
      const json = await bytesOf(texts.fill(JSON.stringify(output), 'json'))
      expect(JSON.parse(json.toString())).toEqual([text, 'short', { t: text }])
    }
  })

  test('that is larger than may be kept is too large, and says so', async () => {
    answerWith('large', { output: 'x'.repeat(3_000_000) })
    expect((await outputOf('large', 2_000_000)).outcome).toEqual({
      kind: 'too_large',
      reason: 'the output has more than 2000000 bytes',
    })
    answerWith('many', { output: Array(1_100_000).fill(0) })
    expect((await outputOf('many')).outcome).toMatchObject({ kind: 'too_large' })
  })
})

describe('a prediction', () => {
  test('with logs, error, metrics and input of any length is read, and bounded', async () => {
    answerWith('p', {
      output: Array(200_000).fill('token'),
      logs: `seed: 42\n${'all work\n'.repeat(2_000_000)} 45%|####`,
      error: `E1001 ${'at line 1\n'.repeat(300_000)}(code: PA)`,
      metrics: { predict_time: 1, text: 'x'.repeat(100_000) },
      input: { image: 'x'.repeat(30_000_000) },
    })
    const outcome = await upstream.get('p')
    if (outcome.kind !== 'prediction') throw new Error(outcome.kind)
    const { prediction } = outcome
    expect(prediction).toMatchObject({ output: null, output_left_out: 1_600_001, metrics: null, input: null })
    expect(prediction.logs).toMatch(/^seed: 42\n[^]* 45%\|####$/)
    expect(prediction.logs_left_out).toBeGreaterThan(15_000_000)
    expect(prediction.error).toMatch(/^E1001 [^]*\(code: PA\)$/)
    expect(JSON.stringify(prediction).length).toBeLessThan(300_000)
  })

  test('of a page of 60 MB has what decides, in memory that does not grow with the page', async () => {
    const picture = `data:image/png;base64,${'A'.repeat(200_000)}`
    const rows = Array.from({ length: 100 }, (_, i) => ({
      id: `p${i}`,
      status: 'succeeded',
      created_at: '2026-11-22T10:00:00.123Z',
      webhook: 'https://gq.example/webhooks/replicate?job=1',
      input: { a: picture, b: picture, c: picture },
      output: i === 0 ? picture : [`https://replicate.delivery/${i}.png`],
      logs: ' 45%|####\n'.repeat(100),
    }))
    const path = `/v1/predictions?created_after=1970-01-01T00%3A00%3A00.000Z&created_before=1970-01-01T00%3A00%3A00.001Z`
    answers.set(path, JSON.stringify({ next: null, previous: null, results: rows }))
    const outcome = await upstream.list({ after: 0, before: 1, cursor: null })
    if (outcome.kind !== 'page') throw new Error(JSON.stringify(outcome))
    expect(outcome.predictions).toHaveLength(100)
    expect(outcome.predictions[0]).toMatchObject({ id: 'p0', output: null, output_left_out: picture.length + 2 })
    expect(outcome.predictions[99]).toMatchObject({
      id: 'p99',
      status: 'succeeded',
      created_at: Date.parse('2026-11-22T10:00:00.123Z'),
      webhook: 'https://gq.example/webhooks/replicate?job=1',
      output: ['https://replicate.delivery/99.png'],
      logs: rows[99]?.logs,
    })
    expect(JSON.stringify(outcome).length).toBeLessThan(300_000)
  })
})
