import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Batch, Job } from '../../src/client/types.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * A set of pictures that a character's own model is trained with. Its first product asked for one prediction after the
 * other, which brought more than two minutes of delay; then it sent all of them at once, each with a webhook, counted
 * progress and success as they came, and did not let the set stop for those that failed. Runs take a tenth of their 10 to
 * 30 s here. Where the files are kept in a bucket is shown by test/s3/s3-service.test.ts.
 */

const FASTER = 10
const POLLED_EACH_S = 2
const IMAGES = 30
const FAILING = 3
/** Micro-credits of one picture. */
const PRICE = 32_000
const GRANTED = 1_000_000

const SCENES = ['at the beach', 'in the snow', 'on a market', 'under a lamp', 'with a kite', 'in a boat']
const items = Array.from({ length: IMAGES }, (_, i) => ({
  input: { prompt: `A small fox with a blue scarf ${SCENES[i % SCENES.length]}, picture ${i}`, seed: 1000 + i },
  metadata: { file: `fox_training_${String(i).padStart(2, '0')}.jpg` },
}))

let service: TestService
let operator: Operator
let client: TestService['client']

beforeAll(async () => {
  // No poll is due this early: every change came by webhook.
  const pollWithWebhooks = { first: 60_000, min: 60_000, max: 60_000 }
  service = await startService({ timings: { ...PATIENT_TIMINGS, pollWithWebhooks }, simulator: { speed: FASTER } })
  operator = createOperator(service)
  const tenant = await operator.newTenant()
  await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount: GRANTED, reason: 'one set' } })
  client = createClient({ baseUrl: service.url, key: (await operator.newKey(tenant)).key })
})
afterAll(() => service.stop())

const jobsOf = async (id: string): Promise<Job[]> => (await client.batchJobs(id, { limit: 100 })).data
const ended = ({ counts }: Batch): number => counts.succeeded + counts.failed + counts.canceled

/** As the page of the product did it, beside the stream: ask, show, and ask again. */
async function pollAsThePageDid(id: string): Promise<Batch[]> {
  const seen: Batch[] = []
  for (;;) {
    const batch = await client.getBatch(id)
    seen.push(batch)
    if (batch.completed_at !== null) return seen
    await delay((POLLED_EACH_S * 1000) / FASTER)
  }
}

/** Reported progress never goes back, and its shares match its counts. */
function expectConsistent(seen: readonly Batch[]): void {
  for (const [at, batch] of seen.entries()) {
    const { counts, progress, success_rate, cost } = batch
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(2 * IMAGES)
    expect(progress).toBeCloseTo(ended(batch) / IMAGES, 10)
    const judged = counts.succeeded + counts.failed
    expect(success_rate).toBe(judged === 0 ? null : counts.succeeded / judged)
    expect(cost).toMatchObject({
      estimate: IMAGES * PRICE,
      held: (IMAGES - ended(batch)) * PRICE,
      captured: counts.succeeded * PRICE,
    })
    expect(progress).toBeGreaterThanOrEqual(seen[at - 1]?.progress ?? 0)
  }
}

/** Some pictures were there while others were still made. */
const grew = (seen: readonly Batch[]): boolean => seen.some(({ progress }) => progress > 0 && progress < 1)

/** s from the submission to the last picture on the product's clock: runs are faster here, our own work is not. */
function tookOf({ created_at, completed_at }: Batch, jobs: readonly Job[]): number {
  const longest = Math.max(...jobs.map(({ metrics }) => Number(metrics.predict_time ?? 0)))
  return (Date.parse(completed_at ?? '') - Date.parse(created_at)) / 1000 + longest * (FASTER - 1)
}

/** The file is a JPEG and the one that was recorded. */
async function expectWhole({ artifacts }: Pick<Job, 'artifacts'>): Promise<void> {
  const [artifact] = artifacts
  if (!artifact || artifacts.length !== 1) throw new Error('not one picture')
  const bytes = await client.download(artifact)
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact.sha256)
  expect(artifact).toMatchObject({ media_type: 'image/jpeg', bytes: bytes.length, width: 1024, height: 1024 })
}

describe(`a set of ${IMAGES} pictures`, () => {
  let set: Batch
  let jobs: Job[]

  test('is made at once, is seen to grow, and does not stop for those that fail', async () => {
    // Three are refused by the model; the files of two cannot be fetched at first.
    const error = 'NSFW content detected in the output (E005)'
    await service.simulator.faults({
      predictions: { fail: { next: FAILING, error } },
      files: { status: { code: 503, next: 2 } },
    })
    const answer = await client.batch({ preset: 'training-image', items, metadata: { character: 'fox' } })
    expect(answer).toMatchObject({ status: 'running', progress: 0, success_rate: null, counts: { total: IMAGES } })
    expect(await client.credits()).toMatchObject({ balance: GRANTED - IMAGES * PRICE, held: IMAGES * PRICE })

    const watched: Batch[] = []
    const streamed = client.waitBatch(answer.id, { onUpdate: (batch) => watched.push(batch) })
    const polled = pollAsThePageDid(answer.id)
    // A picture is shown as it arrives.
    const first = await waitFor('a first picture', async () =>
      (await jobsOf(answer.id)).find(({ status }) => status === 'succeeded'),
    )
    await expectWhole(first)
    set = await streamed
    jobs = await jobsOf(set.id)
    expect(first.completed_at?.localeCompare(set.completed_at ?? '')).toBe(-1)

    expect(set).toMatchObject({
      status: 'partial',
      progress: 1,
      success_rate: (IMAGES - FAILING) / IMAGES,
      stopped: null,
      counts: { total: IMAGES, succeeded: IMAGES - FAILING, failed: FAILING, canceled: 0 },
      cost: { estimate: IMAGES * PRICE, held: 0, captured: (IMAGES - FAILING) * PRICE, uncollected: 0 },
    })
    for (const seen of [watched, await polled]) {
      expectConsistent(seen)
      expect(grew(seen)).toBe(true)
    }
    process.stdout.write(`training: ${IMAGES} pictures in ${tookOf(set, jobs).toFixed(0)} s\n`)
  })

  test('is created once each, and reported by webhooks', async () => {
    const { predictions, counts } = await service.simulator.books()
    expect(counts.create_requests).toBe(IMAGES)
    expect(predictions.map(({ id }) => id).sort()).toEqual(jobs.map(({ prediction_id }) => prediction_id).sort())
    const { finished_by, webhooks } = await service.client.health()
    expect(finished_by).toMatchObject({ webhook: IMAGES })
    expect(webhooks.latency?.count).toBeGreaterThanOrEqual(IMAGES)
  })

  test('has a manifest with a line for each, and every file of it is whole', async () => {
    const lines = await client.batchManifest(set.id)
    expect(lines.map(({ position, metadata, input }) => [position, metadata, input?.seed])).toEqual(
      items.map(({ metadata, input }, position) => [position, metadata, input.seed]),
    )
    expect(lines.map(({ job, prediction_id }) => [job, prediction_id])).toEqual(
      jobs.map(({ id, prediction_id }) => [id, prediction_id]),
    )
    const made = lines.filter(({ status }) => status === 'succeeded')
    expect(made).toHaveLength(IMAGES - FAILING)
    for (const line of made) {
      expect(line).toMatchObject({ preset: 'training-image', error: null, cost: { captured: PRICE, held: 0 } })
      await expectWhole(line)
    }
    expect(new Set(made.map(({ artifacts }) => artifacts[0]?.sha256)).size).toBe(made.length)
    for (const line of lines.filter(({ status }) => status !== 'succeeded'))
      expect(line).toMatchObject({
        status: 'failed',
        output: null,
        artifacts: [],
        error: { code: 'content_flagged', retryable: false, billed: 'no' },
        cost: { captured: 0, held: 0 },
      })
  })

  test('can have its failed ones tried again, and platform failures are retried within that', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1 } } })
    const again = await client.retryBatch(set.id)
    expect(again).toMatchObject({ retry_of: set.id, counts: { total: FAILING } })
    expect(await client.waitBatch(again.id)).toMatchObject({
      status: 'succeeded',
      success_rate: 1,
      counts: { succeeded: FAILING },
    })
    const attempts = (await jobsOf(again.id)).map(({ attempt }) => attempt)
    expect(attempts.toSorted()).toEqual([1, 1, 2])
    expect((await service.simulator.books()).counts.create_requests).toBe(IMAGES + FAILING + 1)

    const captured = IMAGES * PRICE
    expect(await client.credits()).toMatchObject({ granted: GRANTED, balance: GRANTED - captured, held: 0, captured })
    const { data } = await client.ledger({ limit: 100 })
    const sums = new Map<string, number>()
    for (const { kind } of data) sums.set(kind, (sums.get(kind) ?? 0) + 1)
    expect(sums.get('hold')).toBe(IMAGES + FAILING)
    expect(sums.get('capture')).toBe(IMAGES)
    expect(sums.get('release')).toBe(FAILING)
  })

  test('has an endpoint that never returns 404: events of a deleted picture are accepted', async () => {
    const [first] = jobs
    if (!first) throw new Error('nothing was made')
    await client.delete(first.id)
    const { sign, tokens } = await signerOf(service)
    const about = aboutPrediction({ prediction_id: first.prediction_id ?? '' }, 'succeeded')
    expect(await sendWebhook(sign(tokens.url(first.id, 1), about))).toBe(200)
    expect((await client.getBatch(set.id)).counts.total).toBe(IMAGES)
  })
})
