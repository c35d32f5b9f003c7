import Replicate, { validateWebhook, type Prediction } from 'replicate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isObject } from '../../src/shared/values/json.ts'
import { examples } from '../support/property-seed.ts'
import { startReceiver, type Received } from '../support/receiver.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { waitFor } from '../support/wait-for.ts'

/** The ways of hearing of a job: they never contradict each other, and products of Replicate's webhooks keep theirs. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const RUNS = examples(30)
/** Of these runs one is canceled soon, and one fails. */
const TROUBLE_EVERY = 5
const ORDER = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']
const ENDS = ['succeeded', 'failed', 'canceled']

let service: TestService
beforeAll(async () => {
  service = await startService({
    timings: SHORT_TIMINGS,
    simulator: { speed: 20 },
    env: { REPLICATE_CREATES_PER_MINUTE: '60000' },
  })
})
afterAll(() => service.stop())

const headers = { authorization: `Bearer ${TEST_KEY}` }

/** What a witness saw of a job. `rev`: null where it is not shown. */
interface Seen {
  rev: number | null
  status: string
  error: string | null
}
function seenIn(job: unknown): Seen {
  if (!isObject(job)) throw new Error('no job')
  const { rev, status, error } = job
  const code = isObject(error) ? String(error['code']) : null
  return { rev: typeof rev === 'number' ? rev : null, status: String(status), error: code }
}

async function polled(id: string): Promise<Seen[]> {
  const seen: Seen[] = []
  await waitFor(`the end of ${id}`, async () => {
    const last = seenIn(await service.client.get(id))
    seen.push(last)
    return ENDS.includes(last.status)
  })
  return seen
}

/** Connects again after each event. */
async function streamed(id: string): Promise<Seen[]> {
  const seen: Seen[] = []
  let position = ''
  while (!ENDS.includes(seen.at(-1)?.status ?? '')) {
    const connection = new AbortController()
    const answer = await fetch(`${service.url}/v1/jobs/${id}/events`, {
      headers: { ...headers, ...(position === '' ? {} : { 'last-event-id': position }) },
      signal: connection.signal,
    })
    let text = ''
    for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      const [, at = '', data] = /^id: (.+)\nevent: job\ndata: (.*)$/m.exec(text) ?? []
      if (data === undefined) continue
      position = at
      seen.push(seenIn(JSON.parse(data)))
      break
    }
    connection.abort()
  }
  return seen
}

describe('poll, wait, stream and webhook', () => {
  test(
    `never contradict each other in ${RUNS} runs, with a connection for each event`,
    async () => {
      const receiver = await startReceiver()
      await service.client.createEndpoint({
        url: receiver.url,
        events: ['job.started', 'job.succeeded', 'job.failed', 'job.canceled'],
      })
      const notified = (id: string): { webhook: string; type: string; seen: Seen }[] =>
        receiver.received.flatMap(({ headers: sent, body }: Received) => {
          const { type, data }: { type: string; data: { job: { id: string } } } = JSON.parse(body)
          return data.job.id === id ? [{ webhook: sent['webhook-id'] ?? '', type, seen: seenIn(data.job) }] : []
        })

      const error = 'The text could not be written.'
      await service.simulator.faults({ predictions: { fail: { next: Math.ceil(RUNS / TROUBLE_EVERY), error } } })
      const outcomes = new Set<string>()

      async function run(n: number): Promise<void> {
        const { id } = await service.client.submit({
          version: HELLO,
          input: { text: `run ${n}` },
        })
        // It may be over before.
        if (n % TROUBLE_EVERY === 0) await service.client.cancel(id).catch(() => undefined)
        const [poll, stream, wait] = await Promise.all([polled(id), streamed(id), service.client.wait(id)])
        const final = seenIn(await service.client.get(id))
        for (const witness of [poll, stream]) {
          const ranks = witness.map(({ status }) => ORDER.indexOf(status))
          expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
          expect(witness.at(-1)).toEqual(final)
        }
        expect(seenIn(wait)).toEqual(final)

        const ends = await waitFor(`the webhook of ${id}`, () => {
          const found = notified(id).filter(({ type }) => type !== 'job.started')
          return found.length > 0 && found
        })
        expect(new Set(ends.map(({ webhook }) => webhook)).size).toBe(1)
        for (const { type, seen } of ends) {
          expect(type).toBe(`job.${final.status}`)
          expect(seen).toEqual(final)
        }
        // Many runs are over when they are read first.
        if (final.status === 'succeeded')
          await waitFor(`the start of ${id}`, () => notified(id).some(({ type }) => type === 'job.started'))
        outcomes.add(final.status)
        for (const { seen } of notified(id)) expect(seen.rev).toBeLessThanOrEqual(final.rev ?? 0)
      }

      const AT_ONCE = 10
      for (let n = 0; n < RUNS; n += AT_ONCE)
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, RUNS - n) }, (_, i) => run(n + i)))
      expect([...outcomes]).toEqual(expect.arrayContaining(ENDS))
    },
    300_000 + RUNS * 1000,
  )
})

describe('the receivers of products that Replicate called', () => {
  let replicate: Replicate
  let secret: string
  beforeAll(async () => {
    // All that a product changes.
    replicate = new Replicate({ auth: TEST_KEY, baseUrl: `${service.url}/replicate/v1` })
    secret = (await replicate.webhooks.default.secret.get()).key
  })

  /** As each of them begins: checks the signature, reads the prediction. */
  async function predictionOf({ headers: sent, body }: Received): Promise<Prediction> {
    const request = new Request('http://product.example/hook', { method: 'POST', headers: sent, body })
    expect(await validateWebhook(request, secret)).toBe(true)
    return JSON.parse(body) as Prediction
  }

  test('a script station updates its record by the completed prediction, with the whole text', async () => {
    const receiver = await startReceiver()
    const { id } = await replicate.predictions.create({
      model: 'google/gemini-3-pro',
      input: { prompt: 'Three titles for a film about a lighthouse' },
      webhook: receiver.url,
      webhook_events_filter: ['completed'],
    })
    const [received] = await receiver.count(1)
    if (!received) throw new Error('a webhook came')
    const { id: of, status, output } = await predictionOf(received)
    expect({ of, status }).toEqual({ of: id, status: 'succeeded' })
    const text = Array.isArray(output) ? output.join('') : String(output)
    expect(text.length).toBeGreaterThan(20)
    expect((await replicate.predictions.get(id)).output).toEqual(output)
  })

  test('a restoration shop keeps the status of each event, and finds the job by the id of its prediction', async () => {
    const receiver = await startReceiver()
    const picture =
      'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    const { id } = await replicate.predictions.create({
      model: 'flux-kontext-apps/restore-image',
      input: { input_image: picture, seed: 7, output_format: 'png', safety_tolerance: 2 },
      webhook: receiver.url,
      webhook_events_filter: ['start', 'output', 'logs', 'completed'],
    })
    const last = await waitFor('the completed event', async () => {
      const all = await Promise.all(receiver.received.map(predictionOf))
      return all.find(({ status }) => ENDS.includes(status))
    })
    const all = await Promise.all(receiver.received.map(predictionOf))
    expect(new Set(all.map((one) => one.id))).toEqual(new Set([id]))
    expect(all.every(({ status }) => ['starting', 'processing', 'succeeded'].includes(status))).toBe(true)
    expect(last.status).toBe('succeeded')
    const file = await fetch(String(last.output))
    expect(file.headers.get('content-type')).toBe('image/png')
  })

  test('a set of training pictures is submitted at once, each with its own webhook, and failures stop nothing', async () => {
    const receiver = await startReceiver()
    const error = 'The image could not be made.'
    await service.simulator.faults({ predictions: { fail: { next: 1, error } } })
    const asked = Array.from({ length: 6 }, (_, n) =>
      replicate.predictions.create({
        model: 'black-forest-labs/flux-schnell',
        input: { prompt: `A small fox, picture ${n}` },
        webhook: `${receiver.url}?job=set-1&picture=${n}`,
        webhook_events_filter: ['completed'],
      }),
    )
    const ids = (await Promise.all(asked)).map(({ id }) => id)
    const received = await receiver.count(6)
    const found = await Promise.all(
      received.map(async (one) => {
        const picture = Number(new URL(one.path, 'http://product.example').searchParams.get('picture'))
        return { picture, ...(await predictionOf(one)) }
      }),
    )
    expect(found.toSorted((a, b) => a.picture - b.picture).map(({ id }) => id)).toEqual(ids)
    expect(found.filter(({ status }) => status === 'failed').map((one) => one.error)).toEqual([error])
    expect(found.filter(({ status }) => status === 'succeeded')).toHaveLength(5)
  })
})
