import { once } from 'node:events'
import { createServer } from 'node:http'
import { request } from 'node:https'
import Replicate, { type FileOutput } from 'replicate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redirectingFetch, type Simulator, startSimulator } from '../../src/simulator/start-simulator.ts'
import { hostFor } from './support/media.ts'

/** Clients that believe they talk to https://api.replicate.com, and HTTPS. */

const FLUX = 'black-forest-labs/flux-schnell'
const input = { prompt: 'a lighthouse', megapixels: '0.25', output_format: 'png' }

let plain: Simulator
let secure: Simulator
beforeAll(async () => {
  ;[plain, secure] = await Promise.all([
    startSimulator({ speed: 100, seed: 7 }),
    startSimulator({ speed: 100, seed: 7, tls: true }),
  ])
})
afterAll(async () => {
  await Promise.all([plain.stop(), secure.stop()])
})

describe.each(['http', 'https'] as const)('over %s', (scheme) => {
  const simulator = (): Simulator => (scheme === 'http' ? plain : secure)

  test('the official client needs no base URL, and makes file objects', async () => {
    const replicate = new Replicate({ auth: 'r8_any', fetch: simulator().fetch })
    const [file] = (await replicate.run(FLUX, { input })) as FileOutput[]
    expect(file?.url().href).toMatch(/^https:\/\/replicate\.delivery\/files\/.*\/out-0\.png$/)
    const blob = await file?.blob()
    expect([blob?.type, blob && blob.size > 1000]).toEqual(['image/png', true])
    const urls = (await replicate.predictions.list()).results[0]?.urls
    expect(urls?.get).toMatch(/^https:\/\/api\.replicate\.com\/v1\/predictions\//)
    expect(urls?.stream).toMatch(/^https:\/\/stream\.replicate\.com\/v1\/files\//)
  })

  test('it streams text and files, and uploads what it runs on', async () => {
    const replicate = new Replicate({ auth: 'r8_any', fetch: simulator().fetch })
    let text = ''
    for await (const { event, data } of replicate.stream('google/gemini-3-pro', { input: { prompt: 'bees' } }))
      if (event === 'output') text += data
    expect(text).toMatch(/^# Bees/)
    const files: unknown[] = []
    for await (const { event, data } of replicate.stream(FLUX, { input })) if (event === 'output') files.push(data)
    expect(await new Response(files[0] as ReadableStream).blob()).toMatchObject({ size: expect.any(Number) as number })
    const { size } = await replicate.files.create(Buffer.from('some bytes'), { customer: 7 })
    expect(size).toBe(10)
  })
})

test('any base stands in for the API, with its path; other hosts are left alone', async () => {
  const seen: [string | undefined, string | undefined][] = []
  const base = await hostFor((incoming, response) => {
    seen.push([incoming.url, incoming.headers.authorization])
    incoming.pipe(response)
  })
  const redirected = redirectingFetch({ to: `${base}/replicate/v1/` })
  const init = { method: 'POST', headers: { authorization: 'Bearer x' }, body: 'sent' }
  const answers = await Promise.all([
    redirected('https://api.replicate.com/v1/account?a=1', init),
    redirected(new Request(new URL('https://api.replicate.com/v1/files'), init)),
    redirected(`${base}/elsewhere`, init),
  ])
  expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(['sent', 'sent', 'sent'])
  expect(seen.toSorted()).toEqual([
    ['/elsewhere', 'Bearer x'],
    ['/replicate/v1/account?a=1', 'Bearer x'],
    ['/replicate/v1/files', 'Bearer x'],
  ])
  expect(() => redirectingFetch({ to: 'api' })).toThrow('expected a URL')
})

test('a whole process may be redirected, without a loop', async () => {
  const before = globalThis.fetch
  globalThis.fetch = redirectingFetch({ to: plain.url })
  try {
    const [file] = (await new Replicate({ auth: 'r8_any' }).run(FLUX, { input })) as FileOutput[]
    expect((await file?.blob())?.type).toBe('image/png')
  } finally {
    globalThis.fetch = before
  }
})

describe('the certificate', () => {
  /** Asks as a client that trusts only one authority, by a name of the certificate. */
  async function ask(ca: string | undefined, servername: string): Promise<unknown> {
    const asked = request({ host: '127.0.0.1', port: secure.port, path: '/', ca, servername, agent: false }).end()
    const [response] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }]
    response.resume()
    return response.statusCode
  }

  test('is valid for the machine and for Replicate’s names, and only where its authority is trusted', async () => {
    expect(secure.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    expect(secure.ca).toMatch(/^-----BEGIN CERTIFICATE-----\n/)
    for (const name of ['localhost', 'api.replicate.com', 'pbxt.replicate.delivery'])
      expect(await ask(secure.ca ?? '', name)).toBe(200)
    await expect(ask(secure.ca ?? '', 'replicate.com')).rejects.toThrow(/altnames/)
    await expect(ask(undefined, 'localhost')).rejects.toThrow(/certificate/)
    await expect(fetch(secure.apiUrl)).rejects.toThrow('fetch failed')
    expect(plain.ca).toBeNull()
  })

  test('is not made where the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(startSimulator({ port, dataDir: null, tls: true })).rejects.toThrow(/already in use/)
    taken.close()
  })
})
