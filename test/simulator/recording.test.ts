import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Replicate, { type FileOutput } from 'replicate'
import { beforeAll, describe, expect, test } from 'vitest'
import { startRecorder, startReplay, type Simulator, startSimulator } from '../../src/simulator/start-simulator.ts'
import type { SimulatorRequest } from '../../src/simulator/http/router.ts'
import { createAddresses } from '../../src/simulator/recording/addresses.ts'
import { ORIGIN_HEADER } from '../../src/simulator/redirecting-fetch.ts'
import { scrubJson, scrubText } from '../../src/simulator/recording/scrub.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Recordings: a client's conversation with an upstream, here another simulator, and the same again without it. */

const FLUX = 'black-forest-labs/flux-schnell'
const TOKEN = 'r8_ThisIsTheUsersVerySecretToken1234567'
const input = { prompt: 'a lighthouse', megapixels: '0.25', output_format: 'png' }
const webhook = 'https://user:pass@product.invalid/hook?key=my-webhook-secret'

/** A program as users write it. What it returns must be the same each time. */
async function program(replicate: Replicate): Promise<unknown> {
  const created = await replicate.predictions.create({
    model: FLUX,
    input,
    webhook,
    webhook_events_filter: ['completed'],
  })
  const ended = await replicate.wait(created, { interval: 20 })
  const waited = await replicate.predictions.create({ model: FLUX, input: { ...input, seed: 2 }, wait: true })
  let text = ''
  for await (const { event, data } of replicate.stream('google/gemini-3-pro', {
    input: { prompt: 'bees', hf_token: 'mine' },
  }))
    if (event === 'output') text += data
  const file = await replicate.files.create(Buffer.from('some bytes'), { customer: 7 })
  const secret = (await replicate.webhooks.default.secret.get()).key
  const refused = await replicate.predictions.create({ model: FLUX, input: {} }).catch((error: Error) => error.message)
  return { ended, waited, text, file, form: secret.slice(0, 6), refused: String(refused).slice(-80) }
}

let tape: string
let recorded: Record<string, unknown>
let picture: Buffer
let upstreamUrl: string
beforeAll(async () => {
  const upstream: Simulator = await startSimulator({ speed: 100, seed: 7 })
  upstreamUrl = upstream.url
  tape = join(tempDir(), 'tape.jsonl')
  const recorder = await startRecorder({ file: tape, upstream: upstream.url, token: TOKEN })
  const replicate = new Replicate({ auth: 'anything', baseUrl: recorder.apiUrl, useFileOutput: false })
  recorded = (await program(replicate)) as typeof recorded
  const ended = recorded['ended'] as { output: string[]; urls: { get: string } }
  expect(ended.urls.get.startsWith(recorder.apiUrl)).toBe(true)
  picture = Buffer.from(await (await fetch(ended.output[0] ?? '')).arrayBuffer())
  // The same by a client that believes in Replicate's own addresses.
  const redirected = new Replicate({ auth: 'anything', fetch: recorder.fetch })
  const [output] = (await redirected.run(FLUX, { input })) as FileOutput[]
  expect((await output?.blob())?.size).toBeGreaterThan(1000)
  expect((await fetch(`${recorder.url}/_host/example.com/`)).status).toBe(404)
  expect(upstream.scope(TOKEN).requests().length).toBeGreaterThan(10)
  await recorder.stop()
  await upstream.stop()
})

/** Without what names the address at which a client was answered. */
const shown = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, '')
      .replaceAll(/\?(?:key=)?[^"]*secret[^"]*|user:pass@/g, ''),
  )

test('a replay gives the same program the same results, without the upstream', async () => {
  const replay = await startReplay({ file: tape, upstream: upstreamUrl })
  try {
    const replicate = new Replicate({ auth: 'other', baseUrl: replay.apiUrl, useFileOutput: false })
    const again = (await program(replicate)) as typeof recorded
    expect(shown(again)).toEqual(shown(recorded))
    const { output } = again['ended'] as { output: string[] }
    expect(output[0]?.startsWith(replay.url)).toBe(true)
    const file = await fetch(output[0] ?? '')
    expect(file.headers.get('content-type')).toBe('image/png')
    expect(Buffer.from(await file.arrayBuffer())).toEqual(picture)
    const redirected = new Replicate({ auth: 'other', fetch: replay.fetch })
    const [byHost] = (await redirected.run(FLUX, { input })) as FileOutput[]
    expect((await byHost?.blob())?.size).toBeGreaterThan(1000)

    const unknown = replicate.predictions.create({ model: FLUX, input: { prompt: 'another' } })
    await expect(unknown).rejects.toThrow(/404 .*The recording has no answer to POST http.*flux-schnell/)
  } finally {
    await replay.stop()
  }
})

test('a recording has no secrets', () => {
  const text = readFileSync(tape, 'utf8')
  expect(text.split('\n').length).toBeGreaterThan(10)
  for (const secret of [TOKEN, 'anything', 'my-webhook-secret', 'user:pass', '"mine"', 'some bytes'])
    expect(text).not.toContain(secret)
  const secrets = [...text.matchAll(/whsec_[\w+/=]+/g)].map(([found]) => found)
  expect(new Set(secrets)).toEqual(new Set([`whsec_${'A'.repeat(32)}`]))
})

test('a file that is no recording is refused with its line', async () => {
  const file = join(tempDir(), 'tape.jsonl')
  writeFileSync(file, `${readFileSync(tape, 'utf8').split('\n')[0]}\n{"request":1}\n`)
  await expect(startReplay({ file })).rejects.toThrow('line 2 is no part of a recording')
})

describe('the addresses of a recorder of Replicate', () => {
  const origin = 'http://127.0.0.1:4010'
  const addresses = createAddresses('https://api.replicate.com')
  const request = (path: string, believed?: string): SimulatorRequest => ({
    method: 'GET',
    path,
    params: {},
    query: new URLSearchParams(path.includes('files') ? 'a=1' : ''),
    headers: believed === undefined ? {} : { [ORIGIN_HEADER]: believed },
    account: '',
    origin,
    readBody: () => Promise.resolve(Buffer.alloc(0)),
  })

  test.each([
    ['/v1/files', undefined, 'https://api.replicate.com/v1/files?a=1'],
    ['/_host/pbxt.replicate.delivery/x/out.webp', undefined, 'https://pbxt.replicate.delivery/x/out.webp'],
    ['/x/out.webp', 'https://replicate.delivery', 'https://replicate.delivery/x/out.webp'],
    ['/v1/files', 'https://api.replicate.com', 'https://api.replicate.com/v1/files?a=1'],
    ['/_host/169.254.169.254/latest', undefined, undefined],
    ['/_host/replicate.delivery:8080/x', undefined, undefined],
    ['/x', 'https://evil.example', undefined],
    ['/x', 'http://replicate.delivery', undefined],
    ['/_host/replicate.delivery.example/x', undefined, undefined],
  ])('%s asked of %s goes to %s', (path, believed, expected) => {
    expect(addresses.targetOf(request(path, believed))?.href).toBe(expected)
  })

  test('stand in for Replicate’s in bodies, and the other way round', () => {
    const theirs = JSON.stringify({
      get: 'https://api.replicate.com/v1/predictions/1',
      stream: 'https://stream-b.replicate.com/v1/x',
      output: ['https://replicate.delivery/a/out.webp', 'https://replicate.com/p/1', 'https://a.example/'],
    })
    const ours = JSON.stringify({
      get: `${origin}/v1/predictions/1`,
      stream: `${origin}/_host/stream-b.replicate.com/v1/x`,
      output: [`${origin}/_host/replicate.delivery/a/out.webp`, 'https://replicate.com/p/1', 'https://a.example/'],
    })
    expect(addresses.toLocal(theirs, request('/v1'))).toBe(ours)
    expect(addresses.toUpstream(ours, request('/v1'))).toBe(theirs)
    expect(addresses.toLocal(theirs, request('/v1', 'https://api.replicate.com'))).toBe(theirs)
  })
})

describe('what is a secret', () => {
  test.each([
    ['Bearer abc-123', 'Bearer removed'],
    ['r8_abcdefghij0123', 'removed'],
    ['https://x.example/a?b=1&signature=q%2Bw&c=2', 'https://x.example/a?b=1&signature=removed&c=2'],
    ['whsec_c2VjcmV0c2VjcmV0', `whsec_${'A'.repeat(32)}`],
    ['a prompt about tokens', 'a prompt about tokens'],
  ])('%s', (text, expected) => {
    expect(scrubText(text, ['abc-123', ''])).toBe(expected)
  })

  test('fields by their names, anywhere; numbers and other fields stay', () => {
    const value = {
      input: { hf_token: 'x', apiKey: 'y', max_tokens: 5, tokens: ['a'], prompt: 'p' },
      list: [{ password: 'z' }],
    }
    expect(scrubJson(value, [])).toEqual({
      input: { hf_token: 'removed', apiKey: 'removed', max_tokens: 5, tokens: ['a'], prompt: 'p' },
      list: [{ password: 'removed' }],
    })
  })
})
