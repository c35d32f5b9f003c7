import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Credits, Job, LedgerEntry, Page } from '../../src/client/types.ts'
import { createClient } from '../../src/client/client.ts'
import { damagedPhoto, dataUri, tone } from '../simulator/support/media.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * A picture of a face and a recording make a video that speaks. Its first product created the prediction by itself, asked
 * for it every 5 s, at most 120 times, showed the frames from the logs, and held $0.20 until it knew how it ended. Runs
 * and polls take a twenty-fifth of their time here.
 */

const FASTER = 25
const POLL_EACH_MS = 5000 / FASTER
const HELD = 60_000
const GRANTED = 1_000_000
/** The shortest timeout that a job may have, s, in place of 10 minutes. */
const TIMEOUT = 5

/** The recipe that comes with genqueue, and the same with a short timeout. */
function presets(): string {
  const folder = tempDir()
  const own = readFileSync(join(import.meta.dirname, '../../presets/lip-sync.yaml'), 'utf8')
  const short = own.replace('name: lip-sync', 'name: lip-sync-short').replace('timeout: 600', `timeout: ${TIMEOUT}`)
  writeFileSync(join(folder, 'lip-sync.yaml'), own)
  writeFileSync(join(folder, 'lip-sync-short.yaml'), short)
  return folder
}

let service: TestService
let operator: Operator
let key: string
let client: TestService['client']
let imageUrl: string
let audioUrl: string

beforeAll(async () => {
  service = await startService({
    timings: PATIENT_TIMINGS,
    simulator: { speed: FASTER },
    env: { PRESETS_DIR: presets() },
  })
  operator = createOperator(service)
  const tenant = await operator.newTenant()
  key = (await operator.newKey(tenant)).key
  await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount: GRANTED, reason: 'five videos' } })
  client = createClient({ baseUrl: service.url, key })
  imageUrl = dataUri(await damagedPhoto(), 'image/png')
  audioUrl = dataUri(tone(3), 'audio/wav')
})
afterAll(() => service.stop())

const request = (prompt: string) => ({
  preset: 'lip-sync',
  input: { image: imageUrl, audio: audioUrl, prompt },
})

const credits = (): Promise<Credits> => client.credits()
const movements = async (job: string): Promise<string[]> => {
  const page: Page<LedgerEntry> = await client.ledger({ job })
  return page.data.map(({ kind, amount }) => `${kind} ${amount}`).toReversed()
}
const isOver = ({ status }: Job): boolean => ['succeeded', 'failed', 'canceled'].includes(status)

/** As the page of the first product did it: ask, wait, and ask again. */
async function pollAsThePageDid(id: string, seen: Job[] = []): Promise<Job> {
  for (;;) {
    const job = await client.get(id)
    seen.push(job)
    if (isOver(job)) return job
    await delay(POLL_EACH_MS)
  }
}

/** The film, as its files describe it. */
async function expectFilm(job: Job): Promise<void> {
  expect(job).toMatchObject({ status: 'succeeded', artifacts: [{ media_type: 'video/mp4' }], error: null })
  const [artifact] = job.artifacts
  if (!artifact) throw new Error('nothing was made')
  const film = Buffer.from(await client.download(artifact))
  expect(film.subarray(4, 8).toString('latin1')).toBe('ftyp')
}

describe('a video', () => {
  test('in client mode: 202 at once, then polls show it coming, from 10 % to 100 %', async () => {
    const { status, headers, body } = await operator.ask<Job>('/v1/jobs', { key, body: request('She says hello') })
    expect([status, headers.get('location'), body.status, body.output]).toEqual([
      202,
      `/v1/jobs/${body.id}`,
      'queued',
      null,
    ])
    // The bytes have gone to the store; the page may show what it was given.
    expect(body.input).toMatchObject({
      image: expect.stringMatching(/^\/v1\/uploads\/upl_/),
      audio: expect.stringMatching(/^\/v1\/uploads\/upl_/),
    })
    expect(body.timeout).toBe(600)
    expect(await credits()).toMatchObject({ balance: GRANTED - HELD, held: HELD, captured: 0 })

    const seen: Job[] = []
    const done = await pollAsThePageDid(body.id, seen)
    await expectFilm(done)
    expect(seen.map((job) => job.prediction_id).findLast((id) => id !== null)).toBe(done.prediction_id)
    const progress = seen.flatMap((job) => (job.progress === null ? [] : [job.progress]))
    expect(progress.toSorted((a, b) => a - b)).toEqual(progress)
    // "Processing frame 45/100...": somewhere on the way, and all at the end.
    expect(progress.some((share) => share > 0 && share < 1)).toBe(true)
    expect(progress.at(-1)).toBe(1)
    expect((await client.logs(body.id)).logs).toMatch(/^Processing frame \d+\/\d+/m)
    const ran = Number(done.metrics.predict_time) * FASTER
    expect(ran).toBeGreaterThan(30)
    expect(ran).toBeLessThan(95)
    expect(['queued', 'starting', 'processing', 'succeeded']).toEqual(
      expect.arrayContaining([...new Set(seen.map((job) => job.status))]),
    )

    // Three seconds were made, at 20,000 micro-credits each; the rest of the hold is back.
    expect(done.cost).toEqual({ estimate: HELD, held: 0, captured: 60_000, uncollected: 0, estimated: false })
    expect(await credits()).toMatchObject({ balance: GRANTED - 60_000, held: 0, captured: 60_000 })
    expect(await movements(body.id)).toEqual([`hold ${HELD}`, 'capture 60000'])
  })

  test('in wait mode: the answer to the submission is the video', async () => {
    const before = await credits()
    const { status, headers, body } = await operator.ask<Job>('/v1/jobs', {
      key,
      body: request('He sings'),
      headers: { prefer: 'wait=60' },
    })
    expect([status, headers.get('preference-applied')]).toEqual([200, 'wait=60'])
    await expectFilm(body)
    expect((await credits()).captured).toBe(before.captured + 60_000)
  })

  test('continues when the user leaves, and is there when the user returns', async () => {
    const left = new AbortController()
    const submitted = fetch(`${service.url}/v1/jobs`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': 'page-42',
        prefer: 'wait=60',
      },
      body: JSON.stringify(request('They laugh')),
      signal: left.signal,
    })
    const id = await waitFor('the job to run', async () => {
      const { data } = await client.list({ limit: 1 })
      return data[0]?.metadata && data[0].status === 'processing' && data[0].id
    })
    left.abort()
    await expect(submitted).rejects.toThrow('aborted')
    expect((await credits()).held).toBe(HELD)
    // The page is reloaded: the same submission finds the same job.
    const back = await client.submit(request('They laugh'), { idempotencyKey: 'page-42' })
    expect(back.id).toBe(id)
    await expectFilm(await pollAsThePageDid(id))
    expect((await service.simulator.books()).predictions).toHaveLength(3)
  })

  test('larger than what goes inline is handed over, the picture and the recording', async () => {
    const audio = dataUri(tone(20), 'audio/wav')
    const job = await client.submit({ preset: 'lip-sync', input: { ...request('A song').input, audio } })
    const done = await pollAsThePageDid(job.id)
    await expectFilm(done)
    // The length of the recording is held for.
    expect(done.cost).toMatchObject({ estimate: 400_000, captured: 400_000, uncollected: 0 })
  })
})

describe('a video that does not come', () => {
  test('because the model failed is free, and can be tried again', async () => {
    const before = await credits()
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'No face was found in the image' } } })
    const job = await pollAsThePageDid((await client.submit(request('Nobody speaks'))).id)
    expect(job).toMatchObject({
      status: 'failed',
      output: null,
      error: { code: 'prediction_failed', message: 'No face was found in the image', retryable: true },
      cost: { held: 0, captured: 0 },
    })
    expect(await credits()).toEqual(before)
    expect(await movements(job.id)).toEqual([`hold ${HELD}`, `release ${HELD}`])
    const again = await client.retry(job.id)
    expect(again.input).toEqual(job.input)
    await expectFilm(await pollAsThePageDid(again.id))
  })

  test('in time ends with its timeout, and the hold is released', async () => {
    const before = await credits()
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const { id } = await client.submit({ ...request('Never'), preset: 'lip-sync-short' })
    expect((await credits()).held).toBe(HELD)
    const job = await client.wait(id, { timeout: 170_000 })
    expect(job).toMatchObject({ status: 'failed', error: { code: 'timeout', retryable: true, billed: 'no' } })
    const took = Date.parse(job.completed_at ?? '') - Date.parse(job.submitted_at ?? '')
    expect(took).toBeGreaterThanOrEqual(TIMEOUT * 1000 - 50)
    expect(await credits()).toEqual(before)
    expect(await movements(id)).toEqual([`hold ${HELD}`, `release ${HELD}`])
  })

  test('because there are no credits for it is refused, and nothing of it is kept', async () => {
    const tenant = await operator.newTenant()
    const poor = (await operator.newKey(tenant)).key
    await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount: HELD - 1, reason: 'nearly one' } })
    const { status, body } = await operator.ask('/v1/jobs', { key: poor, body: request('Too dear') })
    expect([status, body.code, body.detail]).toEqual([402, 'insufficient_credits', '0.000001 credits are missing.'])
    expect(await service.redis.zcard(service.keys.tenantJobs(tenant))).toBe(0)
  })
})

test('the books agree: every prediction has its job, and the credits add up', async () => {
  const { data } = await client.list({ limit: 100 })
  const { predictions, counts } = await service.simulator.books()
  expect(predictions.map(({ id }) => id).sort()).toEqual(data.map((job) => job.prediction_id).sort())
  expect(counts.create_requests).toBe(predictions.length)
  const { granted, balance, held, captured } = await credits()
  expect([granted, held]).toEqual([GRANTED, 0])
  expect(balance + captured).toBe(granted)
  expect(captured).toBe(data.reduce((sum, { cost }) => sum + (cost?.captured ?? 0), 0))
})
