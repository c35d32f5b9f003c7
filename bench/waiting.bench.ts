import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cpuOf } from './support/cpu-of.ts'
import type { LoadReport } from './support/load-generator.ts'
import { spawnNode } from '../test/support/spawn-process.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { TEST_KEY } from '../test/support/start-service.ts'
import { waitFor } from '../test/support/wait-for.ts'

/**
 * What many waiting jobs cost: the latency of accepting and the rate of finishing beside them, compared with those beside
 * few in the same run, how evenly they drain, and their memory in Redis. They wait for a create budget of one a minute; to
 * drain them the worker is replaced with one that has a large budget. `WAITING_JOBS`: how many.
 */

const JOBS = Number(process.env['WAITING_JOBS'] ?? 20_000)
/** A queue as good as empty, which drains long enough to take its rate. */
const FEW = 2000
const CONNECTIONS = 16
const RATE = 100
const SECONDS = 15
/** Times of the figures beside few. */
const GOAL = 1.5
const SAMPLE = 100
const REST_MS = 20_000
const PARTS = 10

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const body = JSON.stringify({ version: HELLO, input: { text: 'a job that waits' } })

const LITTLE = { REPLICATE_CREATES_PER_MINUTE: '1' }
const LARGE = { REPLICATE_CREATES_PER_MINUTE: '600000' }

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 1,
    workers: 1,
    env: { ...LITTLE, REPLICATE_READS_PER_MINUTE: '60000', TENANT_QUEUED_JOBS: '1000000', LOG_LEVEL: 'warn' },
    simulatorArgs: ['--creates-per-minute', '6000000', '--reads-per-minute', '600000', '--speed', '10'],
  })
})
afterAll(() => fleet.stop())

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const waiting = async (): Promise<number> => Number(await fleet.redis.hget(fleet.keys.phases, 'queued'))
const done = async (): Promise<number> => Number(await fleet.redis.hget(fleet.keys.phases, 'succeeded'))

/** Submits over many connections; `rate` a second, 0: as fast as they are answered. */
async function submit(seconds: number, rate: number): Promise<LoadReport> {
  const options = {
    port: new URL(fleet.urls[0] ?? '').port,
    path: '/v1/jobs',
    body,
    header: `authorization: Bearer ${TEST_KEY}`,
    connections: String(CONNECTIONS),
    seconds: String(seconds),
    rate: String(rate),
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawnNode(join(import.meta.dirname, 'support/load-generator.ts'), [...args, '--keyed'])
  const { code } = await child.exited
  expect(code, child.stderr).toBe(0)
  const report = JSON.parse(child.stdout) as LoadReport
  expect(report.wrong, report.example ?? '').toBe(0)
  return report
}

async function fill(count: number): Promise<void> {
  while ((await waiting()) < count) await submit(1, 0)
}

/** CPU time so far of the api, the present worker and Redis together, ms. On a busy machine it is the better measure. */
async function cpu(): Promise<number> {
  const redis = await fleet.redis.info('cpu')
  const of = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(redis)?.[1])
  const processes = [fleet.apis[0], fleet.workers.at(-1)].reduce((sum, one) => sum + cpuOf(one?.pid ?? 0), 0)
  return processes + 1000 * (of('used_cpu_user') + of('used_cpu_sys'))
}

interface Part {
  /** Jobs done per second. */
  rate: number
  /** CPU time for each, ms. */
  cost: number
}

/** Drains the queue with a worker that has a large budget, and measures each part of the queue. */
async function drain(): Promise<Part[]> {
  const change = async (env: Record<string, string>): Promise<void> => {
    await fleet.workers.at(-1)?.kill('SIGTERM')
    await fleet.addWorker(env)
  }
  const [count, before] = [await waiting(), await done()]
  await change(LARGE)
  const parts: Part[] = []
  let [at, reached, spent] = [performance.now(), before, await cpu()]
  for (let part = 1; part <= PARTS; part++) {
    const until = before + Math.floor((count * part) / PARTS)
    const now = await waitFor(
      `${until} jobs to be done`,
      async () => {
        const finished = await done()
        return finished >= until ? finished : undefined
      },
      { timeout: 3_000_000, interval: 20 },
    )
    const [time, total] = [performance.now(), await cpu()]
    parts.push({ rate: ((now - reached) * 1000) / (time - at), cost: (total - spent) / (now - reached) })
    ;[at, reached, spent] = [time, now, total]
  }
  await waitFor('all jobs to be done', async () => (await waiting()) === 0, { timeout: 300_000 })
  await change(LITTLE)
  return parts
}

/** CPU time that waiting jobs take although nothing is submitted or created: ms in each second. */
async function atRest(): Promise<number> {
  const [at, before] = [performance.now(), await cpu()]
  await delay(REST_MS)
  return ((await cpu()) - before) / ((performance.now() - at) / 1000)
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const times = (one: number, other: number): string => (one / other).toFixed(2)

/** Prints a figure of each tenth, and how much worse it is than with few waiting jobs. */
function compare(
  what: string,
  drained: { few: Part[]; many: Part[] },
  of: (part: Part) => number,
  worse: 'less' | 'more',
): void {
  const [few, many] = [drained.few.map(of), drained.many.map(of)]
  const shown = (figures: number[]): string => figures.map((figure) => figure.toPrecision(3)).join(' ')
  const usual = median(few)
  const ratio = (figure: number): string => (worse === 'more' ? times(figure, usual) : times(usual, figure))
  const worst = worse === 'more' ? Math.max(...many) : Math.min(...many)
  say(`${what}, by tenths:`)
  say(`  few:  ${shown(few)}`)
  say(`  many: ${shown(many)}`)
  say(`  ${ratio(median(many))} times as bad with many (goal ${GOAL}), in the worst tenth ${ratio(worst)}`)
}

/** Bytes of Redis without the stream of events, whose length is limited. */
async function used(): Promise<number> {
  const total = Number(/used_memory:(\d+)/.exec(await fleet.redis.info('memory'))?.[1])
  return total - ((await fleet.redis.memory('USAGE', fleet.keys.events, 'SAMPLES', '0')) ?? 0)
}

/** Mean bytes for each job of the keys that have its id in their name: of its record, and of its doorbell. */
async function ownKeys(): Promise<{ record: number; doorbell: number }> {
  const ids = new Set<string>()
  const sizes = { record: 0, doorbell: 0 }
  const found: string[] = []
  const { tag } = fleet.keys
  for await (const page of fleet.redis.scanStream({ match: `${tag}:*job_*`, count: 1000 })) {
    for (const key of page as string[]) {
      const id = /job_[0-9A-Z]+/.exec(key)?.[0] ?? ''
      if (ids.size < SAMPLE) ids.add(id)
      found.push(key)
    }
  }
  for (const key of found) {
    if (!ids.has(/job_[0-9A-Z]+/.exec(key)?.[0] ?? '')) continue
    const bytes = (await fleet.redis.memory('USAGE', key)) ?? 0
    sizes[key.startsWith(fleet.keys.queues) ? 'doorbell' : 'record'] += bytes
  }
  return { record: sizes.record / ids.size, doorbell: sizes.doorbell / ids.size }
}

test('waiting', { timeout: 7_200_000 }, async () => {
  // Compiles code, and fetches the schema of the model.
  await submit(3, RATE)
  await drain()

  const beside = { few: await submit(SECONDS, RATE), many: { p50: 0, p99: 0 } }
  await fill(FEW)
  const rest = { few: await atRest(), many: 0 }
  const drained = { few: await drain(), many: [] as Part[] }

  const [before, there] = [await used(), await waiting()]
  await fill(JOBS)
  rest.many = await atRest()
  const perJob = ((await used()) - before) / ((await waiting()) - there)
  const own = await ownKeys()
  beside.many = await submit(SECONDS, RATE)
  const count = await waiting()
  drained.many = await drain()

  const latency = ({ p50, p99 }: { p50: number; p99: number }): string =>
    `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms`
  say(
    `accepting ${RATE} a second beside few: ${latency(beside.few)}; beside ${count} waiting jobs: ${latency(beside.many)}`,
  )
  say(
    `  ${times(beside.many.p50, beside.few.p50)} and ${times(beside.many.p99, beside.few.p99)} times as long (goal ${GOAL})`,
  )
  compare(`jobs done per second, draining ${FEW} and ${count}`, drained, ({ rate }) => rate, 'less')
  compare('CPU time of api, worker and Redis for each, ms', drained, ({ cost }) => cost, 'more')
  say(`CPU time while they only wait, ms in each second: few ${rest.few.toFixed(0)}, many ${rest.many.toFixed(0)}`)
  say(
    `memory of a waiting job: ${perJob.toFixed(0)} bytes; its record ${own.record.toFixed(0)}, its doorbell ${own.doorbell.toFixed(0)}, the rest in its idempotency entry and in indexes`,
  )
  expect(count).toBeGreaterThanOrEqual(JOBS)
  expect(drained.many).toHaveLength(PARTS)
})
