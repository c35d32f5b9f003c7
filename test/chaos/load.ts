import { setTimeout as delay } from 'node:timers/promises'
import { createClient, isFinal } from '../../src/client/client.ts'
import type { BatchRequest, Job, JobRequest } from '../../src/client/types.ts'
import type { Customer } from './customers.ts'
import { dice, type Dice } from './seeded.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const FLUX = 'black-forest-labs/flux-schnell'

/** One job or batch of the load, and every response that its well-behaved client received. */
export interface Order {
  /** In the metadata of each job, so that their records are found again. */
  name: string
  customer: Customer
  /** How many jobs it makes, all or none; null: a job that is no batch. */
  batchOf: number | null
  keyed: boolean
  /** Through Replicate's own API. */
  byFront: boolean
  /** Every id that was answered with 2xx. */
  ids: Set<string>
  /** Once it heard that credits are missing. */
  refused: boolean
  canceled: boolean
}

const pathOf = ({ batchOf }: Order): string => (batchOf === null ? '/v1/jobs' : '/v1/batches')

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

/** A submission, and what it has besides its body. */
interface Submission {
  path: string
  body: object
  headers: Record<string, string>
}

/** The same job, as a client of Replicate asks for it. */
function byFront({ preset, model, version, input, metadata }: JobRequest): Submission {
  const name = preset === undefined ? model : `preset/${preset}`
  return {
    path: `/replicate/v1/${name === undefined ? '' : `models/${name}/`}predictions`,
    body: name === undefined ? { version, input } : { input },
    headers: { 'genqueue-metadata': JSON.stringify(metadata) },
  }
}

/** The id of the job of a response; predictions have it in another form. */
const jobOf = (id: string): string => (/^[0-9a-z]{26}$/.test(id) ? `job_${id.toUpperCase()}` : id)

const ORDER = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']
const rank = (status: string): number => Math.min(ORDER.indexOf(status), 3)

/** Submits `jobs` over `length` ms, cancels and watches some of them. Of several apis each is asked in turn. */
export function startLoad(options: {
  apiUrls: string[]
  customers: Customer[]
  seed: number
  jobs: number
  length: number
}): Load {
  const { apiUrls, customers, seed, jobs, length } = options
  const [main = { tenant: '', key: '' }, ...others] = customers
  const random = dice(seed, 'load')
  const orders: Order[] = []
  const complaints: string[] = []
  let asked = 0
  const nextUrl = (): string => apiUrls[asked++ % apiUrls.length] ?? ''
  const nextClient = ({ key }: Customer): ReturnType<typeof createClient> => createClient({ baseUrl: nextUrl(), key })
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

  function watchStream(id: string, customer: Customer): void {
    let last: Job | undefined
    watchers.push(
      nextClient(customer).subscribe(id, {
        onUpdate: (job) => {
          compare(last, job, 'the stream')
          last = job
        },
      }).close,
    )
  }

  async function watchByAsking(id: string, customer: Customer): Promise<void> {
    let last: Job | undefined
    while (!ending.signal.aborted && !(last && isFinal(last))) {
      const job = await nextClient(customer)
        .get(id)
        .catch(() => undefined)
      if (job) {
        compare(last, job, 'a GET')
        last = job
      }
      await delay(150, undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }

  async function ask(
    { key }: Customer,
    path: string,
    init: Ask,
  ): Promise<{ status: number; body: Partial<Job> } | null> {
    try {
      const response = await fetch(nextUrl() + path, {
        ...init,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...init.headers },
        signal: AbortSignal.timeout(10_000),
      })
      return { status: response.status, body: (await response.json()) as Partial<Job> }
    } catch {
      return null
    }
  }

  /** As a client should: repeats until it has an answer that says what became of it. */
  async function submit(
    order: Order,
    { path, body: request, headers: own }: Submission,
    idempotencyKey: string | null,
  ): Promise<void> {
    const body = JSON.stringify(request)
    const headers = idempotencyKey === null ? own : { ...own, 'idempotency-key': idempotencyKey }
    let wait = 100
    while (!ending.signal.aborted) {
      const answer = await ask(order.customer, path, { method: 'POST', body, headers })
      if (answer && answer.status < 300 && answer.body.id !== undefined) {
        order.ids.add(jobOf(answer.body.id))
        return
      }
      if (answer?.status === 402) {
        order.refused = true
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
      const answer = await ask(order.customer, `${pathOf(order)}/${id}/cancel`, { method: 'POST' })
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

  /** All jobs of a batch are ordered by the same name. */
  function batchFor(random: Dice, index: number, size: number): BatchRequest {
    return {
      sequential: random.chance(0.3),
      ...(random.chance(0.3) ? { stop_on_failure_rate: 0.5 } : {}),
      ...(random.chance(0.3) ? { max_spend: 6000 } : {}),
      items: Array.from({ length: size }, () => requestFor(random, index)),
    }
  }

  function turnFor(random: Dice): Pick<JobRequest, 'priority' | 'not_before'> {
    return {
      ...(random.chance(0.3) ? { priority: 'batch' as const } : {}),
      ...(random.chance(0.1) ? { not_before: new Date(Date.now() + random.integer(0, 3000)).toISOString() } : {}),
    }
  }

  async function place(index: number, random: Dice): Promise<void> {
    const name = `order-${seed}-${index}`
    // A separate random stream, so that a seed always produces the same jobs.
    const more = dice(seed, `more of ${index}`)
    const order: Order = {
      name,
      customer: more.chance(0.6) ? main : (others[more.integer(0, others.length - 1)] ?? main),
      batchOf: more.chance(0.1) ? more.integer(2, 4) : null,
      keyed: random.chance(0.7),
      byFront: false,
      ids: new Set(),
      refused: false,
      canceled: false,
    }
    orders.push(order)
    const named = (request: JobRequest): JobRequest => ({ ...request, metadata: { order: name } })
    order.byFront = order.batchOf === null && more.chance(0.3)
    const asked = named(requestFor(random, index))
    const job = order.byFront ? asked : { ...asked, ...turnFor(dice(seed, `turn of ${index}`)) }
    const batch = order.batchOf === null ? null : batchFor(more, index, order.batchOf)
    const request =
      batch === null ? job : { ...batch, items: batch.items.map((item) => ({ ...item, metadata: { order: name } })) }
    const submission =
      order.byFront && batch === null ? byFront(job) : { path: pathOf(order), body: request, headers: {} }
    const key = order.keyed ? order.name : null
    const twice = order.keyed && random.chance(0.15)
    const stops = random.chance(0.1)
    const watched = random.next()
    const patience = random.between(0, 2000)
    await Promise.all([submit(order, submission, key), ...(twice ? [submit(order, submission, key)] : [])])
    const [id] = order.ids
    if (id === undefined) return
    if (order.batchOf === null && watched < 0.1) watchStream(id, order.customer)
    else if (order.batchOf === null && watched < 0.2) void watchByAsking(id, order.customer)
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
