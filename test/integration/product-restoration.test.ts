import { randomInt } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { damagedPhoto } from '../simulator/support/media.ts'
import { finished, inPhase } from '../support/finished.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, sendWebhook, signerOf, type WebhookSigner } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * Old photographs, restored to order. Its first product asked every 30 s from a separate worker: sometimes that was not
 * running, orders stuck when it failed, and it called the API all the time. Then it moved to webhooks, and asked for
 * signatures, idempotency, metrics, and a cure for stuck orders. Runs take a tenth of their time here.
 */

const FASTER = 10
const POLLED_EACH_S = 30

let service: TestService
let photo: Buffer
let signer: WebhookSigner

/** What came over the public address, and how it was answered. */
interface Delivery {
  /** Of the prediction. */
  id: string
  status: string
  logs: string | null
  output: unknown
  answer: number
}
const deliveries: Delivery[] = []
/** The public address: it writes down what passes. */
const front = createServer((request, response) => {
  const pass = async (): Promise<void> => {
    const about = (await json(request)) as Omit<Delivery, 'answer'>
    const headers = Object.entries(request.headers).filter(([name]) => /^(?:webhook-|content-type)/.test(name))
    const answer = await sendWebhook({
      url: service.url + request.url,
      // As it was sent: the simulator writes JSON without blanks.
      body: JSON.stringify(about),
      headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
    })
    deliveries.push({ ...about, answer })
    response.writeHead(answer).end()
  }
  pass().catch(() => response.destroy())
})

beforeAll(async () => {
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const publicUrl = `http://127.0.0.1:${(front.address() as AddressInfo).port}`
  photo = await damagedPhoto()
  // The first look comes half a minute after a run of the longest kind, by the product's own clock.
  const pollWithWebhooks = { first: 5000, min: 500, max: 1000 }
  service = await startService({
    timings: { ...PATIENT_TIMINGS, pollWithWebhooks },
    simulator: { speed: FASTER },
    env: { PUBLIC_URL: publicUrl },
  })
  signer = await signerOf(service)
})
afterAll(async () => {
  await service.stop()
  front.close()
})

const seed = (): number => randomInt(0, 2 ** 31)

/** An order: the photograph is uploaded by the customer's browser, the job is made by the back end. */
async function order(name: string, changes: object = {}): Promise<Job> {
  const { url } = await service.client.upload(new Blob([new Uint8Array(photo)], { type: 'image/png' }))
  return service.client.submit({
    preset: 'restore-image',
    input: { input_image: url, seed: seed(), output_format: 'png', safety_tolerance: 2, ...changes },
    webhook_events: ['start', 'output', 'logs', 'completed'],
    metadata: { order: name },
  })
}

const historyOf = async (id: string): Promise<{ phase: string; cause: string }[]> => {
  const response = await fetch(`${service.url}/v1/jobs/${id}?include=history`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  return ((await response.json()) as { history: { phase: string; cause: string }[] }).history
}

/** Contrast, and how much colour there is, of a picture. */
async function looksOf(picture: Buffer): Promise<{ range: number; colours: number }> {
  const { data } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  let [low, high, colours] = [255, 0, 0]
  for (let at = 0; at < data.length; at += 3) {
    const [red = 0, , blue = 0] = data.subarray(at, at + 3)
    low = Math.min(low, red)
    high = Math.max(high, red)
    if (Math.abs(red - blue) > 30) colours++
  }
  return { range: high - low, colours }
}

describe('an order', () => {
  test('reports its progress by webhooks alone, and its picture is kept', async () => {
    const { id } = await order('1001')
    const seen: Job[] = []
    const done = await service.client.wait(id, { onUpdate: (job) => seen.push(job) })
    expect(done).toMatchObject({
      status: 'succeeded',
      metadata: { order: '1001' },
      artifacts: [{ media_type: 'image/png' }],
    })
    expect([...new Set(seen.map(({ status }) => status))].slice(-2)).toEqual(['processing', 'succeeded'])

    const [artifact] = done.artifacts
    if (!artifact) throw new Error('nothing was made')
    const restored = Buffer.from(await service.client.download(artifact))
    const [before, after] = [await looksOf(photo), await looksOf(restored)]
    expect(before.colours).toBe(0)
    expect(after.colours).toBeGreaterThan(10_000)
    expect(after.range).toBeGreaterThan(before.range / 2)

    // The worker of its first product polled twice a minute; a run takes 5 to 15 s.
    const { counts, webhooks } = await service.simulator.books()
    expect(counts).toMatchObject({ created: 1, create_requests: 1 })
    const took = ((Date.parse(done.completed_at ?? '') - Date.parse(done.created_at)) / 1000) * FASTER
    expect(counts.gets).toBeLessThanOrEqual(Math.floor(took / POLLED_EACH_S))
    expect(webhooks.failed).toBe(0)
    // Start, end, and what came between them: logs and outputs are sent at most each half second.
    expect(done.webhook_events).toEqual(['start', 'output', 'logs', 'completed'])
    await waitFor('the answer to the last of them', () => deliveries.some(({ status }) => status === 'succeeded'))
    expect(deliveries.every(({ answer, id: about }) => answer === 200 && about === done.prediction_id)).toBe(true)
    const running = deliveries.filter(({ status }) => status === 'processing')
    expect(running.length).toBeGreaterThan(1)
    expect(running.some(({ logs }) => logs !== null && logs !== '')).toBe(true)
    expect(deliveries.filter(({ status, output }) => status === 'succeeded' && output !== null)).toHaveLength(1)
    expect((await historyOf(id)).map(({ phase, cause }) => `${phase} ${cause}`)).toEqual(
      expect.arrayContaining(['running webhook', 'storing webhook', 'succeeded worker']),
    )
  })

  test('twenty at once finish once each, although every webhook comes four times', async () => {
    await service.simulator.faults({ webhooks: { duplicate: { probability: 1, times: 3 } } })
    const jobs = await Promise.all(Array.from({ length: 20 }, (_, i) => order(`batch-${i}`)))
    for (const { id } of jobs) {
      const job = await finished(service, id)
      expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
      expect((await historyOf(id)).filter(({ phase }) => phase === 'succeeded')).toHaveLength(1)
    }
    await service.simulator.faults({ webhooks: { duplicate: null } })
    const { predictions, counts } = await service.simulator.books()
    expect(predictions).toHaveLength(21)
    expect(counts.create_requests).toBe(21)

    const { webhooks, finished_by } = await service.client.health()
    // On a machine that stands still a poll may come first.
    expect(Object.values(finished_by).reduce((sum, n) => sum + n, 0)).toBe(21)
    expect(finished_by.webhook).toBeGreaterThan(10)
    expect(webhooks).toMatchObject({ silent: false, dead_letters: 0 })
    const { count = 0, p50 = 0, p90 = 0 } = webhooks.latency ?? {}
    expect(count).toBeGreaterThan(0)
    process.stdout.write(`restoration: ${count} webhooks, p50 ${p50.toFixed(3)} s, p90 ${p90.toFixed(3)} s\n`)
  })

  test('that fails says why, and costs the customer nothing', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'cannot identify image file' } } })
    const job = await finished(service, (await order('broken')).id)
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'prediction_failed', message: 'cannot identify image file', retryable: true, billed: 'no' },
      cost: { held: 0, captured: 0 },
    })
    const again = await service.client.retry(job.id)
    expect(again.input).toEqual(job.input)
    expect(await finished(service, again.id)).toMatchObject({ status: 'succeeded', retry_of: job.id })
  })
})

describe('a webhook', () => {
  const letters = (): Promise<number> => service.redis.xlen(service.keys.deadLetters)

  test('about an unknown prediction is accepted, set aside and counted', async () => {
    const unknown = `job_${'0'.repeat(26)}`
    const before = await letters()
    const sent = signer.sign(
      signer.tokens.url(unknown, 1),
      aboutPrediction({ prediction_id: 'nobody-knows-this-one' }, 'succeeded'),
    )
    expect(await sendWebhook(sent)).toBe(200)
    expect(await letters()).toBe(before + 1)
    expect((await service.client.health()).webhooks.dead_letters).toBe(before + 1)
  })

  test('with a forged signature finishes nothing, and is counted', async () => {
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const job = await inPhase(service, (await order('forged')).id, 'created')
    const about = aboutPrediction({ prediction_id: job.prediction_id ?? '' }, 'succeeded', {
      output: 'https://example.com/forged.png',
    })
    const sent = signer.sign(signer.tokens.url(job.id, 1), about)
    const forged = {
      ...sent,
      headers: { ...sent.headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` },
    }
    expect(await sendWebhook(forged)).toBe(401)
    const now = await service.client.get(job.id)
    expect(now).toMatchObject({ phase: 'created', output: null, rev: job.rev })
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    expect(metrics).toContain('genqueue_webhooks_total{result="bad_signature"} 1')
    await service.client.cancel(job.id)
    expect(await finished(service, job.id)).toMatchObject({ status: 'canceled' })
  })
})

test('an order whose webhooks are all lost is cured by the sweep, without anybody looking', async () => {
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const before = (await service.client.health()).finished_by
  const job = await finished(service, (await order('stuck')).id)
  await service.simulator.faults({ webhooks: { drop: null } })
  expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
  const asked = async (): Promise<number> => {
    const { poll = 0, list = 0 } = (await service.client.health()).finished_by
    return poll + list - (before.poll ?? 0) - (before.list ?? 0)
  }
  expect(await waitFor('the books to say so', async () => (await asked()) === 1 && 'recorded')).toBe('recorded')
})
