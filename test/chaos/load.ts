import { setTimeout as delay } from 'node:timers/promises'
import { createClient, isFinal } from '../../src/client/client.ts'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { dice, type Dice } from './seeded.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const FLUX = 'black-forest-labs/flux-schnell'

/** One job of the load, and everything that its well-behaved client was told. */
export interface Order {
  /** In the job's metadata, so that its records are found again. */
  name: string
  keyed: boolean
  /** Every id that was answered with 2xx. */
  ids: Set<string>
  canceled: boolean
}

export interface Load {
  orders: Order[]
  /** What the watchers saw that must not be. */
  complaints: string[]
  /** How many answers the watchers compared. */
  seen(): number
  /** Settles when every order was answered, or given up. */
  submitted: Promise<void>
  /** The watchers end. */
  stop(): void
}

interface Ask {
  method: string
  body?: string
  headers?: Record<string, string>
}

const ORDER = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']
const rank = (status: string): number => Math.min(ORDER.indexOf(status), 3)

/** Submits `jobs` over `length` ms, cancels and watches some of them. Of several apis each is asked in turn. */
export function startLoad(options: { apiUrls: string[]; seed: number; jobs: number; length: number }): Load {
  const { apiUrls, seed, jobs, length } = options
  const random = dice(seed, 'load')
  const orders: Order[] = []
  const complaints: string[] = []
  let asked = 0
  const nextUrl = (): string => apiUrls[asked++ % apiUrls.length] ?? ''
  const nextClient = (): ReturnType<typeof createClient> => createClient({ baseUrl: nextUrl(), key: TEST_KEY })
  const ending = new AbortController()
  const watchers: (() => void)[] = []
  let seen = 0

  /** The next look at a job: it may not go back, and what is final stays. */
  function compare(last: Job | undefined, job: Job, by: string): void {
    seen += 1
    if (!last) return
    const [before, after] = [rank(last.status), rank(job.status)]
    const older = job.rev < last.rev
    if (older) complaints.push(`${job.id}: ${by} showed rev ${job.rev} after ${last.rev}`)
    if (after < before) complaints.push(`${job.id}: ${by} showed ${job.status} after ${last.status}`)
    if (before === 3 && last.status !== job.status)
      complaints.push(`${job.id}: ${by} showed ${job.status} after the final ${last.status}`)
  }

  function watchStream(id: string): void {
    let last: Job | undefined
    watchers.push(
      nextClient().events(id, (job) => {
        compare(last, job, 'the stream')
        last = job
      }),
    )
  }

  async function watchByAsking(id: string): Promise<void> {
    let last: Job | undefined
    while (!ending.signal.aborted && !(last && isFinal(last))) {
      const job = await nextClient()
        .get(id)
        .catch(() => undefined)
      if (job) {
        compare(last, job, 'a GET')
        last = job
      }
      await delay(150, undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }

  async function ask(path: string, init: Ask): Promise<{ status: number; body: Partial<Job> } | null> {
    try {
      const response = await fetch(nextUrl() + path, {
        ...init,
        headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...init.headers },
        signal: AbortSignal.timeout(10_000),
      })
      return { status: response.status, body: (await response.json()) as Partial<Job> }
    } catch {
      return null
    }
  }

  /** As a client should: repeats until it has an answer that says what became of it. */
  async function submit(order: Order, request: JobRequest, idempotencyKey: string | null): Promise<void> {
    const body = JSON.stringify({ ...request, metadata: { order: order.name } })
    const headers: Record<string, string> = idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey }
    let wait = 100
    while (!ending.signal.aborted) {
      const answer = await ask('/v1/jobs', { method: 'POST', body, headers })
      if (answer && answer.status < 300 && answer.body.id !== undefined) {
        order.ids.add(answer.body.id)
        return
      }
      if (answer && answer.status < 500 && answer.status !== 429) {
        complaints.push(`${order.name}: a submission was answered ${answer.status} ${JSON.stringify(answer.body)}`)
        return
      }
      await delay(wait)
      wait = Math.min(wait * 2, 1000)
    }
  }

  async function cancel(order: Order, after: number): Promise<void> {
    order.canceled = true
    await delay(after)
    const [id] = order.ids
    for (let tries = 0; id !== undefined && tries < 40 && !ending.signal.aborted; tries++) {
      const answer = await ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
      if (answer && answer.status < 500) return
      await delay(250)
    }
  }

  function requestFor(random: Dice, index: number): JobRequest {
    const more: Partial<JobRequest> = random.chance(0.2) ? { on_unknown: 'retry' } : {}
    const [text, seed] = [`chaos ${index}`, index]
    const priced = random.chance(0.5)
    if (random.chance(0.7))
      return { ...(priced ? { preset: 'paid-hello' } : { version: HELLO }), input: { text }, ...more }
    return priced
      ? { preset: 'paid-picture', input: { prompt: text, seed }, ...more }
      : { model: FLUX, input: { prompt: text, megapixels: '0.25', seed }, ...more }
  }

  async function place(index: number, random: Dice): Promise<void> {
    const order: Order = { name: `order-${seed}-${index}`, keyed: random.chance(0.7), ids: new Set(), canceled: false }
    orders.push(order)
    const request = requestFor(random, index)
    const key = order.keyed ? order.name : null
    const twice = order.keyed && random.chance(0.15)
    const stops = random.chance(0.1)
    const watched = random.next()
    const patience = random.between(0, 2000)
    await Promise.all([submit(order, request, key), ...(twice ? [submit(order, request, key)] : [])])
    const [id] = order.ids
    if (id === undefined) return
    if (watched < 0.1) watchStream(id)
    else if (watched < 0.2) void watchByAsking(id)
    if (stops) await cancel(order, patience)
  }

  async function run(): Promise<void> {
    const began = performance.now()
    const placed: Promise<void>[] = []
    const moments = Array.from({ length: jobs }, () => random.between(0, length)).sort((a, b) => a - b)
    for (const [index, at] of moments.entries()) {
      await delay(Math.max(0, began + at - performance.now()))
      placed.push(place(index, dice(seed, `order ${index}`)))
    }
    await Promise.all(placed)
  }

  return {
    orders,
    complaints,
    seen: () => seen,
    submitted: run(),
    stop() {
      ending.abort()
      for (const stop of watchers) stop()
    },
  }
}
