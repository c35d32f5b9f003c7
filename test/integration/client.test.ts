import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createClient, isJobFailed } from '../../src/client/client.ts'
import { localFile, saveFile } from '../../src/client/node.ts'
import type { Batch, Job } from '../../src/client/types.ts'
import { damagedPhoto } from '../simulator/support/media.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

/** The client against the real service, with a network in between that breaks. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const MODEL = 'black-forest-labs/flux-schnell'

let service: TestService
let proxy: TcpProxy
let client: TestService['client']
beforeAll(async () => {
  service = await startService({ timings: PATIENT_TIMINGS, simulator: { speed: 60 } })
  proxy = await startTcpProxy({ port: Number(new URL(service.url).port) })
  client = createClient({ baseUrl: `http://127.0.0.1:${proxy.port}`, key: TEST_KEY })
  return () => service.stop()
})
afterAll(() => proxy.stop())

const hello = (text: string) => ({ version: HELLO, input: { text }, metadata: { text } })
const picture = (prompt: string) => ({ preset: 'story-page', input: { prompt } })

/** The jobs that were accepted with this text. */
const acceptedWith = async (text: string): Promise<Job[]> =>
  (await service.client.list({ limit: 100 })).data.filter(({ metadata }) => metadata.text === text)

test('a reply that is cut after the accept yields the one job', async () => {
  proxy.cutAfter(1)
  const submitted = client.submit(hello('cut'))
  await waitFor('the first submission to be accepted', async () => (await acceptedWith('cut')).length === 1)
  await proxy.heal()
  const job = await submitted
  expect((await acceptedWith('cut')).map(({ id }) => id)).toEqual([job.id])
})

test('a service that is away for a moment is found again', async () => {
  await proxy.refuse()
  const listed = client.list()
  setTimeout(() => void proxy.heal(), 300)
  expect((await listed).data.length).toBeGreaterThan(0)
})

test('waiting survives a lost connection', async () => {
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const { id } = await client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'a long thought' } })
  const waited = client.wait(id, { timeout: 170_000 })
  await waitFor('the wait to begin', () => proxy.connections > 0)
  proxy.resetAll()
  await service.simulator.faults({ webhooks: null })
  expect(await waited).toMatchObject({ id, status: 'succeeded', output: expect.any(String) })
})

test('waiting ends with its timeout or its signal, and the job continues', async () => {
  const { id } = await client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'patience' } })
  await expect(client.wait(id, { timeout: 50 })).rejects.toMatchObject({ name: 'TimeoutError' })
  const leaving = new AbortController()
  const waited = client.wait(id, { signal: leaving.signal }).catch((error: unknown) => error)
  leaving.abort()
  expect(await waited).toMatchObject({ name: 'AbortError' })
  expect((await client.wait(id)).status).toBe('succeeded')
})

test('events follow a job over a lost connection', async () => {
  const { id } = await client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'news' } })
  const seen: string[] = []
  const job = await client.wait(id, {
    onUpdate: ({ status }) => {
      if (seen.length === 0) proxy.resetAll()
      seen.push(status)
    },
  })
  expect(job.status).toBe('succeeded')
  expect(seen.length).toBeGreaterThan(1)
})

test('a refusal names its code, and what is wrong by pointer', async () => {
  await expect(client.get('job_00000000000000000000000000')).rejects.toMatchObject({ code: 'not_found', status: 404 })
  await expect(client.submit({ preset: 'story-page', input: {} })).rejects.toMatchObject({
    code: 'invalid_request',
    errors: [expect.objectContaining({ pointer: '/input/prompt' })],
  })
})

test('a batch is submitted, watched to its end, and read by place', async () => {
  const pages = ['cover', 'page one', 'page two']
  const { id } = await client.batch({
    preset: 'story-page',
    items: pages.map((prompt) => ({ input: { prompt } })),
    metadata: { book: 'the fox' },
  })
  const changes: Batch[] = []
  const batch = await client.waitBatch(id, { onUpdate: (change) => changes.push(change), timeout: 170_000 })
  expect(batch).toMatchObject({ id, status: 'succeeded', progress: 1, counts: { total: 3, succeeded: 3 } })
  expect(changes.at(-1)).toEqual(batch)
  expect((await client.listBatches()).data.map((one) => one.id)).toContain(id)
  expect(await client.getBatch(id)).toMatchObject({ metadata: { book: 'the fox' } })

  const first = await client.batchJobs(id, { limit: 2 })
  const rest = await client.batchJobs(id, { limit: 2, cursor: first.next_cursor ?? '' })
  const jobs = [...first.data, ...rest.data]
  expect(jobs.map(({ input }) => input?.prompt)).toEqual(pages)
  const manifest = await client.batchManifest(id)
  expect(manifest.map(({ job, position }) => [job, position])).toEqual(jobs.map((job, place) => [job.id, place]))

  const [artifact] = jobs[0]?.artifacts ?? []
  if (!artifact) throw new Error('the cover has no picture')
  const bytes = await client.download(artifact)
  expect(bytes.byteLength).toBe(artifact.bytes)
})

test('a batch is canceled; what failed is tried again in a new one', async () => {
  const { id } = await client.batch({
    sequential: true,
    items: [1, 2, 3].map((n) => ({ model: 'google/gemini-3-pro', input: { prompt: `part ${n}` } })),
  })
  await client.cancelBatch(id)
  const over = await client.waitBatch(id, { timeout: 170_000 })
  expect(over).toMatchObject({ status: 'canceled', stopped: 'canceled' })
  const again = await client.retryBatch(id)
  expect(again).toMatchObject({ retry_of: id, counts: { total: 3 } })
  await client.cancelBatch(again.id)
})

test('watching a batch that is not ours is refused', async () => {
  await expect(client.waitBatch('bat_00000000000000000000000000')).rejects.toMatchObject({
    code: 'not_found',
  })
})

test('a job that is over is tried again by a new job', async () => {
  const { id } = await client.submit(hello('again'))
  await client.wait(id)
  const again = await client.retry(id)
  expect(again).toMatchObject({ retry_of: id, input: { text: 'again' } })
})

test('run gives the job that succeeded, and rejects with one that did not', async () => {
  const seen: string[] = []
  const done = await client.run(hello('run'), { onUpdate: ({ status }) => seen.push(status) })
  expect([done.status, seen[0], seen.at(-1)]).toEqual(['succeeded', 'queued', 'succeeded'])
  await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no words' } } })
  const error: unknown = await client.run(hello('fail')).catch((one: unknown) => one)
  expect(isJobFailed(error, 'prediction_failed') && [error.message, error.job.status]).toEqual(['no words', 'failed'])
  expect(await client.runBatch({ items: [hello('of a batch')] })).toMatchObject({ status: 'succeeded' })
})

test('a stream gives the states of a job, and a list every job of all pages', async () => {
  const ids: string[] = []
  for (const text of ['one', 'two', 'three']) ids.push((await client.submit({ ...hello(text), user: 'of a list' })).id)
  const states: string[] = []
  for await (const { status } of client.stream(ids[2] ?? '')) states.push(status)
  expect(states.at(-1)).toBe('succeeded')
  const listed: string[] = []
  for await (const { id } of client.list({ user: 'of a list', limit: 1, createdAfter: new Date(Date.now() - 600_000) }))
    listed.push(id)
  expect(listed).toEqual(ids.toReversed())
  expect((await client.list({ metadata: { text: 'two' }, user: 'of a list' })).data.map(({ id }) => id)).toEqual([
    ids[1],
  ])
  const { prediction_id } = await client.get(ids[2] ?? '')
  expect((await client.list({ predictionId: prediction_id ?? '' })).data).toMatchObject([{ id: ids[2] }])
})

test('changes continue after the cursor that was kept', async () => {
  let kept: string | null = null
  const begun = client.changes({ onState: (state) => void (state === 'open' && submit()) })
  const submit = (): void => void client.submit(hello('watched'))
  for await (const { type, cursor } of begun) {
    kept = cursor
    if (type === 'job') break
  }
  expect(kept).toMatch(/^\w+-\d+-\d+$/)
  // While nobody listens.
  const { id } = await client.submit(hello('missed'))
  await client.wait(id)
  const seen: string[] = []
  const cursors: string[] = []
  await new Promise<void>((resolve) => {
    const { close } = client.changes({
      since: kept,
      onJob: (job) => {
        seen.push(job.id)
        if (job.id === id && job.status === 'succeeded') resolve(close())
      },
      onCursor: (cursor) => cursors.push(cursor),
    })
  })
  expect([seen.includes(id), cursors[0]]).toEqual([true, kept])
})

describe('a file', () => {
  let bytes: Buffer
  let folder: string
  beforeAll(async () => {
    bytes = await damagedPhoto()
    folder = tempDir()
    writeFileSync(join(folder, 'photo.png'), bytes)
  })
  const restore = (input_image: unknown) => ({ preset: 'restore-image', input: { input_image: input_image as Blob } })
  const uploadsOf = async (call: () => Promise<unknown>): Promise<number> => {
    const sent = vi.spyOn(globalThis, 'fetch')
    await call()
    const count = sent.mock.calls.filter(([url]) => String(url).endsWith('/v1/uploads')).length
    sent.mockRestore()
    return count
  }

  test.each<[string, () => unknown]>([
    ['a File', () => new File([new Uint8Array(bytes)], 'photo.png', { type: 'image/png' })],
    ['a Blob', () => new Blob([new Uint8Array(bytes)])],
    ['a Buffer', () => bytes],
    ['an ArrayBuffer', () => new Uint8Array(bytes).buffer],
    ['a local file', () => localFile(join(folder, 'photo.png'))],
  ])('as %s in an input is uploaded, and its link is absolute', async (_what, file) => {
    const job = await client.submit(restore(file()))
    const link = String(job.input?.input_image)
    expect(link).toMatch(new RegExp(`^http://127.0.0.1:${proxy.port}/v1/uploads/upl_`))
    expect(Buffer.from(await client.download(link)).equals(bytes)).toBe(true)
    // The link of an upload is an input again.
    expect((await client.submit(restore(link))).input).toEqual(job.input)
  })

  test('anywhere in a batch is uploaded once for each object', async () => {
    const [one, other] = [new Blob([new Uint8Array(bytes)]), bytes]
    const inputs = [one, one, other, one].map((file) => ({ input: restore(file).input }))
    const sent = await uploadsOf(async () => {
      const { id } = await client.batch({ defaults: { preset: 'restore-image' }, items: inputs })
      const links = (await client.batchJobs(id)).data.map(({ input }) => input?.input_image)
      expect(links[0]).toBe(links[1])
      expect(new Set(links).size).toBe(2)
    })
    expect(sent).toBe(2)
    const nested = { version: HELLO, input: { text: 'x', files: [{ deep: one }, [one]] } }
    const { input } = await client.submit(nested)
    expect(input?.files).toEqual([{ deep: expect.stringContaining('/v1/uploads/') }, [expect.any(String)]])
  })

  test('that cannot be read, a refused one, and a signal end the submission', async () => {
    await expect(client.submit(restore(localFile(join(folder, 'missing.png'))))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await expect(client.submit(restore(new Blob([])))).rejects.toMatchObject({ code: 'invalid_request' })
    const gone = new Error('gone')
    const call = client.submit(restore(bytes), { signal: AbortSignal.abort(gone) })
    await expect(call).rejects.toBe(gone)
  })

  test('is saved whole or not at all', async () => {
    const [artifact] = (await client.run(picture('a saved fox'))).artifacts
    if (!artifact) throw new Error('there is no picture')
    const path = join(folder, 'fox.webp')
    await saveFile(client, artifact, path)
    expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(artifact.sha256)
    const wrong = saveFile(client, { ...artifact, sha256: 'another' }, path)
    await expect(wrong).rejects.toMatchObject({ name: 'ChecksumError' })
    await expect(saveFile(client, artifact, join(folder, 'none', 'fox'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(readdirSync(folder).sort()).toEqual(['fox.webp', 'photo.png'])
    expect(readFileSync(path).length).toBe(artifact.bytes)
  })
})

test('a token opens the one job in place of a key', async () => {
  const { id } = await client.submit(picture('a fox'))
  const { token } = await client.jobToken(id, 60)
  const browser = createClient({ baseUrl: service.url, key: token })
  expect(await browser.wait(id)).toMatchObject({ id, status: 'succeeded' })
  await expect(browser.list()).rejects.toMatchObject({ status: 403 })
})

test('presets and models are listed', async () => {
  expect((await client.presets()).map(({ name }) => name)).toContain('story-page')
  expect(await client.preset('story-page')).toMatchObject({ model: MODEL, estimate: 3000 })
  expect((await client.model(MODEL)).name).toBe(MODEL)
})

test('credits, their ledger and the spending are listed', async () => {
  const { id } = await client.submit(picture('a fox that costs'))
  await client.wait(id)
  const account = await client.credits()
  expect(Object.keys(account).sort()).toEqual([
    'balance',
    'captured',
    'granted',
    'held',
    'low_balance',
    'tenant',
    'unlimited',
  ])
  expect(account.granted).toBe(account.balance + account.held + account.captured)
  const { data } = await client.ledger({ job: id })
  expect(data.map(({ kind, amount }) => [kind, amount])).toEqual([
    ['capture', 3000],
    ['hold', 3000],
  ])
  const { total, data: presets } = await client.spending({ by: 'preset' })
  expect(presets).toContainEqual(expect.objectContaining({ preset: 'story-page' }))
  expect(total.captured).toBe(account.captured)
})
