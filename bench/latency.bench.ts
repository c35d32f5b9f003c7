import { writeFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { percentile } from './support/percentiles.ts'
import { tenantKey } from './support/tenant-key.ts'
import { startTimedProxy, type Passing } from './support/timed-proxy.ts'
import { afterFile } from '../test/support/after-file.ts'
import { submitMany } from '../test/support/finished.ts'
import { spawnNode, type SpawnedProcess } from '../test/support/spawn-process.ts'
import { startProcesses, type Fleet } from '../test/support/start-processes.ts'
import { TEST_KEY } from '../test/support/start-service.ts'
import { tempDir } from '../test/support/temp-dir.ts'
import { createClient } from '../src/client/client.ts'
import { waitFor } from '../test/support/wait-for.ts'

/**
 * How long one job waits for genqueue: from the response to its submission to the arrival of its create request at
 * Replicate, and from the sending of its last webhook to the final event of the stream that its client follows. Api, worker,
 * Redis and the simulator are separate processes. Creates and webhooks pass through two proxies in this process, where the
 * client is too, so all times are of one clock. A webhook is held back until the client follows its job; its time counts
 * from then on.
 */

const JOBS = 150
const WARM = 20
const STREAMS = 1000
/** With the measured client almost as many as one process allows. */
const MOST_STREAMS = 4990
/** Of one tenant; the service allows 500. */
const STREAMS_PER_TENANT = 250
/** Between two jobs. */
const PAUSE_MS = 20
/** What a program without streams does. */
const POLL_MS = 2000
const POLLED_JOBS = 40
const GOALS = { create: '4 / 15', event: '2 / 10' }

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
/** Runs longer than the measurement. */
const ENDLESS = {
  name: 'bench/endless',
  input_schema: { properties: { prompt: { type: 'string' } } },
  run_seconds: 3600,
  output: { kind: 'string', template: 'done: {prompt}' },
}

/** Takes the next event of a kind, once. */
interface Watch {
  create?: (arrived: number) => void
  /** Called with the last webhook of a job; it is sent when the promise is fulfilled. */
  webhook?: (job: string) => Promise<void>
}

let watch: Watch = {}
const agent = new Agent({ keepAlive: true })
let fleet: Fleet

async function passToSimulator({ method, path, arrived }: Passing): Promise<void> {
  if (method === 'POST' && path.endsWith('/predictions')) watch.create?.(arrived)
}

async function passToApi({ path, body }: Passing): Promise<void> {
  const { status } = JSON.parse(body.toString()) as { status: string }
  if (status === 'succeeded') await watch.webhook?.(new URL(path, 'http://api').searchParams.get('job') ?? '')
}

beforeAll(async () => {
  const models = join(tempDir(), 'models.json')
  writeFileSync(models, JSON.stringify({ models: [ENDLESS] }))
  fleet = await startProcesses({
    apis: 1,
    workers: 1,
    env: { REPLICATE_CREATES_PER_MINUTE: '600000', REPLICATE_READS_PER_MINUTE: '60000', LOG_LEVEL: 'warn' },
    simulatorArgs: ['--creates-per-minute', '600000', '--reads-per-minute', '600000', '--models', models],
    async through(simulator, api) {
      const ways = [await startTimedProxy(simulator, passToSimulator), await startTimedProxy(api, passToApi)] as const
      afterFile(() => ways.forEach((way) => way.stop()))
      return { simulator: ways[0].url, api: ways[1].url }
    },
  })
})
afterAll(async () => {
  await fleet.stop()
  agent.destroy()
})

/** Submits a job. Answers its id, and when its response arrived. */
function submit(text: string): Promise<{ id: string; sent: number; accepted: number }> {
  const body = JSON.stringify({ version: HELLO, input: { text } })
  const headers = {
    authorization: `Bearer ${TEST_KEY}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  }
  return new Promise((resolve, reject) => {
    const sent = performance.now()
    const request = httpRequest(new URL('/v1/jobs', fleet.urls[0]), { method: 'POST', headers, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        const accepted = performance.now()
        if (response.statusCode !== 202) reject(new Error(`a submission answered ${response.statusCode}: ${text}`))
        else resolve({ id: (JSON.parse(text) as { id: string }).id, sent, accepted })
      })
    })
    request.on('error', reject).end(body)
  })
}

/** Follows a job's events. `begun` is fulfilled with the first of them, `final` with the time at which the final one arrived. */
function follow(id: string): { begun: Promise<void>; final: Promise<number> } {
  const [begun, final] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()]
  const headers = { authorization: `Bearer ${TEST_KEY}`, accept: 'text/event-stream' }
  const request = httpRequest(new URL(`/v1/jobs/${id}/events`, fleet.urls[0]), { headers, agent }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n\n')) begun.resolve()
      if (/^data: .*"status":"succeeded"/m.test(text)) final.resolve(performance.now())
    })
    response.on('end', () => final.reject(new Error(`the stream ended without a final event: ${text}`)))
  })
  request.on('error', final.reject).end()
  return { begun: begun.promise, final: final.promise }
}

interface Times {
  /** ms from the response to the create; and from the sending of the submission. */
  create: number[]
  whole: number[]
  /** ms from the last webhook to the final event. */
  event: number[]
}

/** One job after the other. Nobody follows their events, so that each is alone on its way to its create. */
async function toCreate(count: number): Promise<Pick<Times, 'create' | 'whole'>> {
  const times = { create: [] as number[], whole: [] as number[] }
  for (let i = 0; i < count; i++) {
    const [created, ended] = [Promise.withResolvers<number>(), Promise.withResolvers<void>()]
    watch = { create: created.resolve, webhook: async () => ended.resolve() }
    const { sent, accepted } = await submit(`alone ${i}`)
    const arrived = await created.promise
    await ended.promise
    times.create.push(arrived - accepted)
    times.whole.push(arrived - sent)
    await delay(PAUSE_MS)
  }
  watch = {}
  return times
}

async function toEvent(count: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const following = Promise.withResolvers<void>()
    let sent = 0
    watch = {
      async webhook() {
        await following.promise
        sent = performance.now()
      },
    }
    const { id } = await submit(`followed ${i}`)
    const stream = follow(id)
    await stream.begun
    following.resolve()
    times.push((await stream.final) - sent)
    await delay(PAUSE_MS)
  }
  watch = {}
  return times
}

/** The same for clients that ask for their jobs every two seconds; a webhook is sent at any moment between two questions. */
async function toPoll(count: number): Promise<number[]> {
  const sent = new Map<string, number>()
  const client = createClient({ baseUrl: fleet.urls[0] ?? '', key: TEST_KEY })
  watch = {
    async webhook(job) {
      await delay(Math.random() * POLL_MS)
      sent.set(job, performance.now())
    },
  }
  async function poll(i: number): Promise<number> {
    const { id } = await submit(`polled ${i}`)
    while ((await client.get(id)).completed_at === null) await delay(POLL_MS)
    return performance.now() - (sent.get(id) ?? NaN)
  }
  const times = await Promise.all(Array.from({ length: count }, (_, i) => poll(i)))
  watch = {}
  return times
}

/** Round trips of an empty request, as a measure of the machine: ms. */
async function emptyRequests(count: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const sent = performance.now()
    await new Promise<void>((resolve, reject) => {
      const request = httpRequest(new URL('/livez', fleet.urls[0]), { agent }, (response) => {
        response.resume().on('end', resolve)
      })
      request.on('error', reject).end()
    })
    times.push(performance.now() - sent)
    await delay(PAUSE_MS)
  }
  return times
}

/** Opens these streams from another process. */
async function holdOpen(streams: Stream[]): Promise<SpawnedProcess> {
  const args = streams.flatMap(({ key, path }) => ['--stream', `${key} ${path}`])
  const port = new URL(fleet.urls[0] ?? '').port
  const clients = spawnNode(join(import.meta.dirname, 'support/stream-clients.ts'), ['--port', port, ...args])
  await clients.waitForLine(/^open/)
  return clients
}

interface Stream {
  key: string
  path: string
}

/** Streams of running jobs, one for each job. The tenants are as many as the most streams need. */
async function streamsOfJobs(count: number): Promise<Stream[]> {
  const [url = ''] = fleet.urls
  const streams: Stream[] = []
  const tenants = Math.ceil(MOST_STREAMS / STREAMS_PER_TENANT)
  for (let tenant = 0; tenant < tenants; tenant++) {
    const key = await tenantKey(url, `watching-${tenant}`, ['jobs:read', 'jobs:write'])
    const ids = await submitMany({ client: createClient({ baseUrl: url, key }) }, count / tenants, (i) => ({
      model: ENDLESS.name,
      input: { prompt: `${tenant} ${i}` },
    }))
    streams.push(...ids.map((id) => ({ key, path: `/v1/jobs/${id}/events` })))
  }
  const running = async (): Promise<number> => Number(await fleet.redis.hget(fleet.keys.phases, 'running'))
  await waitFor('their jobs to run', async () => (await running()) === count, { timeout: 300_000 })
  return streams
}

/** A quarter of a thousand clients that get each event of the measured jobs, and three that get none. */
async function allJobs(): Promise<SpawnedProcess> {
  const [url = ''] = fleet.urls
  const keys = [TEST_KEY]
  for (let i = 1; i < STREAMS / STREAMS_PER_TENANT; i++) keys.push(await tenantKey(url, `all-${i}`, ['jobs:read']))
  const each = Array.from({ length: STREAMS_PER_TENANT })
  return holdOpen(keys.flatMap((key) => each.map(() => ({ key, path: '/v1/events' }))))
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function row(what: string, times: number[], goal = ''): void {
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)].map((ms) => ms.toFixed(1).padStart(6))
  say(`${what.padEnd(66)} ${p50} ${p99}   ${goal}`)
}

test('latency', { timeout: 600_000 }, async () => {
  await toCreate(WARM)
  await toEvent(WARM)

  say(`${'ms'.padEnd(66)} ${'p50'.padStart(6)} ${'p99'.padStart(6)}   goal`)
  row('the machine: an empty request to the api and back', await emptyRequests(JOBS))
  const alone = await toCreate(JOBS)
  row('one job alone: accepted -> its create request arrives', alone.create, GOALS.create)
  row('  the same from the sending of its submission', alone.whole)
  const few = await toEvent(JOBS)
  row('last webhook sent -> final event, one client', few, GOALS.event)

  const followers = await allJobs()
  await toEvent(WARM)
  const followed = await toEvent(JOBS)
  row(`  beside ${STREAMS} clients, ${STREAMS_PER_TENANT} of which get each event too`, followed)
  await followers.kill()

  const streams = await streamsOfJobs(STREAMS)
  const others = await holdOpen(streams)
  await toEvent(WARM)
  const many = await toEvent(JOBS)
  row(`  beside ${STREAMS} clients, each with its own running job`, many, GOALS.event)
  const further = Array.from({ length: Math.ceil(MOST_STREAMS / STREAMS) }, () => streams).flat()
  const most = await holdOpen(further.slice(0, MOST_STREAMS - STREAMS))
  await toEvent(WARM)
  const crowded = await toEvent(JOBS)
  row(`  beside ${MOST_STREAMS} clients, which follow these ${STREAMS} jobs`, crowded, GOALS.event)
  await Promise.all([others.kill(), most.kill()])

  const polled = await toPoll(POLLED_JOBS)
  row(`last webhook sent -> known to a client that polls every ${POLL_MS / 1000} s`, polled)
  const [poll, one, all] = [polled, few, crowded].map((times) => percentile(times, 0.5))
  if (poll && one && all)
    say(
      `polling / events, p50: ${(poll / one).toFixed(0)} for one client, ${(poll / all).toFixed(0)} beside ${MOST_STREAMS}`,
    )
  for (const times of [alone.create, few, followed, many, crowded]) expect(times).toHaveLength(JOBS)
  expect(polled.every(Number.isFinite)).toBe(true)
})
