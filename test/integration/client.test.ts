import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Batch, Job } from '../../src/client/types.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
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
  expect(Object.keys(account).sort()).toEqual(['balance', 'captured', 'granted', 'held', 'tenant', 'unlimited'])
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
