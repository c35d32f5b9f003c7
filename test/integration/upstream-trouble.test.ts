import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { finished, inPhase, submitMany } from '../support/finished.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import type { Books } from '../support/simulator-admin.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

/** Replicate refuses, fails, falls silent or is away. Numbers are those of docs/failure-modes.md's list of tests. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PER_SECOND = 20
const BURST = 1
const SEVERAL = 12

let service: TestService
let proxy: TcpProxy
beforeAll(async () => {
  service = await startService({
    timings: SHORT_TIMINGS,
    env: { REPLICATE_CREATES_PER_MINUTE: String(PER_SECOND * 60), REPLICATE_CREATE_BURST: String(BURST) },
    simulator: { speed: 20 },
    through: async (port) => (proxy = await startTcpProxy({ port })).port,
  })
})
afterAll(() => service.stop())
afterEach(async () => {
  await proxy.heal()
  await clearFaults()
})

const clearFaults = async (): Promise<void> => {
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
}
const hello = (text: string, more: Partial<JobRequest> = {}): JobRequest => ({
  version: HELLO,
  input: { text },
  ...more,
})
const submit = (text: string): Promise<Job> => service.client.submit(hello(text))
const submitAll = (name: string, count: number): Promise<string[]> =>
  submitMany(service, count, (i) => hello(`${name} ${i}`))
const rows = async (id: string): Promise<Books['predictions']> =>
  (await service.simulator.books()).predictions.filter(({ webhook }) => webhook?.includes(id))
const creates = async (): Promise<number> => (await service.simulator.books()).counts.create_requests
const account = (field: string): Promise<string | null> => service.redis.hget(service.keys.account('default'), field)

/** The account's clock of pauses, ms, while creation stands still. */
async function pauseClock(): Promise<number> {
  const [until, total] = await service.redis.hmget(service.keys.account('default'), 'paused_until', 'paused_total')
  const [seconds, micros] = await service.redis.time()
  return Number(total) - (Number(until) - Number(seconds) * 1000 - Number(micros) / 1000)
}

/** The job once it waits for this. */
const waitingFor = (id: string, reason: string): Promise<Job> =>
  waitFor(`${id} to wait for ${reason}`, async () => {
    const job = await service.client.get(id)
    return job.waiting_for?.reason === reason && job
  })

async function allOnce(ids: string[]): Promise<Job[]> {
  const jobs = await Promise.all(ids.map((id) => finished(service, id)))
  expect(jobs.map(({ status }) => status)).toEqual(ids.map(() => 'succeeded'))
  const { predictions } = await service.simulator.books()
  for (const { id, prediction_id } of jobs)
    expect(predictions.filter(({ webhook }) => webhook?.includes(id)).map((row) => row.id)).toEqual([prediction_id])
  return jobs
}

/** What happened to the job, with times in ms. */
async function historyOf(id: string): Promise<{ at: number; phase: string; note: string | null }[]> {
  const response = await fetch(`${service.url}/v1/jobs/${id}?include=history`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  const { history = [] } = (await response.json()) as Job
  return history.map(({ at, phase, note = null }) => ({ at: Date.parse(at), phase, note }))
}

/** When these jobs were sent, by the clock of Redis, ms: on its way a request may take its time. */
async function sentAt(ids: string[]): Promise<{ id: string; at: number }[]> {
  const sent = await Promise.all(
    ids.map(async (id) =>
      (await historyOf(id)).filter(({ phase }) => phase === 'submitting').map(({ at }) => ({ id, at })),
    ),
  )
  return sent.flat().sort((a, b) => a.at - b.at)
}

/** The most of these moments that fall into one second. */
const mostInOneSecond = (times: number[]): number =>
  Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1000).length))

/** Times are kept in whole ms. */
const ROUNDED = 1

test('F23 a storm of 429 pauses the whole line, keeps its order and uses up nothing', async () => {
  await service.simulator.faults({ create: { status: { code: 429, retry_after: 1, hint: 'body', next: 2 } } })
  const before = await creates()
  const ids: string[] = []
  for (let i = 0; i < SEVERAL; i++) ids.push((await submit(`F23 ${i}`)).id)
  const jobs = await allOnce(ids)
  expect((await creates()) - before).toBe(SEVERAL + 2)
  for (const { id } of jobs) expect(Number(await service.redis.hget(service.keys.job(id), 'resubmissions'))).toBe(0)
  const history = (await Promise.all(jobs.map(({ id }) => historyOf(id)))).flat()
  const refusals = history.filter(({ note }) => note === 'rate_limited')
  expect(refusals).toHaveLength(2)
  // It asked to wait for a second, and so do all.
  for (const { at } of refusals) {
    const since = history.filter(({ phase, at: then }) => phase === 'submitting' && then > at && then < at + 1000)
    expect(since).toEqual([])
  }
  const sent = await sentAt(ids)
  // Only a request in flight at a refusal may overtake the refused one.
  for (const job of jobs) {
    const refused = (await historyOf(job.id)).findLast(({ note }) => note === 'rate_limited')
    if (!refused) continue
    const again = sent.findLast(({ id }) => id === job.id)?.at ?? 0
    const between = sent.filter(({ at }) => at > refused.at && at < again).map(({ id }) => id)
    expect(between.filter((id) => ids.indexOf(id) > ids.indexOf(job.id))).toEqual([])
  }
  expect(mostInOneSecond(sent.map(({ at }) => at))).toBeLessThanOrEqual(PER_SECOND + BURST + ROUNDED)
})

test('F24 500, 502, 503 and 504 on a create are no answer: nothing is sent again before it is proved absent', async () => {
  const ids: string[] = []
  // The recovery gate is open, which needs the list.
  await finished(service, (await submit('F24 before')).id)
  const before = await creates()
  for (const code of [500, 502, 503, 504]) {
    // Its absence cannot be proved before the list works again: the phase lasts until it was seen.
    await service.simulator.faults({ create: { status: { code, next: 1 } }, list: { status: { code: 503 } } })
    const { id } = await submit(`F24 ${code}`)
    expect((await inPhase(service, id, 'unknown')).waiting_for?.reason).toBe('outcome')
    await service.simulator.faults({ list: null })
    ids.push(id)
    // Three in a row would stop creation.
    await finished(service, (await submit(`after ${code}`)).id)
  }
  expect((await creates()) - before).toBe(8)
  await allOnce(ids)
  expect((await creates()) - before).toBe(12)
})

describe('F25 a create that succeeds after we gave it up', () => {
  test.each([
    ['its webhook', {}],
    ['listing', { webhooks: { drop: 1 } }],
  ])('is adopted by %s', async (how, faults) => {
    await service.simulator.faults({ create: { delay: { seconds: 3.2, next: 1 } }, ...faults })
    const { id } = await submit(`F25 by ${how}`)
    await inPhase(service, id, 'unknown')
    expect(await rows(id)).toEqual([])
    await allOnce([id])
  })

  test('is adopted however late it came, when it is there before its absence is proved', async () => {
    // Later than a request may arrive, by permit, timeout and the skew of clocks.
    const { permit = 0, createTimeout = 0, clockSkew = 0, listingLag = 0 } = SHORT_TIMINGS
    const late = permit + createTimeout + clockSkew + listingLag + 500
    const list = { status: { code: 503 } }
    await service.simulator.faults({
      create: { delay: { seconds: late / 1000, next: 1 } },
      webhooks: { drop: 1 },
      list,
    })
    const { id } = await submit('F25 very late')
    await waitFor('it to be made', async () => (await rows(id)).length === 1)
    await service.simulator.faults({ list: null })
    await allOnce([id])
  })
})

describe('F27 a connection on which', () => {
  test('nothing comes back is given up in time; what arrives later is adopted', async () => {
    // The create finds a connection that is open already.
    await finished(service, (await submit('F27 before')).id)
    proxy.blackHole()
    const { id } = await submit('F27 silent')
    await inPhase(service, id, 'submitting')
    // It is given up while the connection is still silent.
    await inPhase(service, id, 'unknown')
    await proxy.heal()
    await allOnce([id])
  })

  test('the answer trickles is given up in time, and so is a list', async () => {
    await service.simulator.faults({ webhooks: { drop: 1 } })
    proxy.trickle(50)
    const { id } = await submit('F27 trickle')
    const lists = (await service.simulator.books()).counts.lists
    await inPhase(service, id, 'unknown')
    await waitFor('lists that trickle', async () => (await service.simulator.books()).counts.lists >= lists + 2)
    expect((await service.client.get(id)).phase).toBe('unknown')
    await proxy.heal()
    await allOnce([id])
  })
})

test.each([401, 402])('F28 %i pauses creation with an alarm, keeps the jobs, and ends by itself', async (code) => {
  await service.simulator.faults({ create: { status: { code } }, account: { status: { code } } })
  const ids = await submitAll(`F28 ${code}`, SEVERAL)
  for (const id of ids) expect((await waitingFor(id, 'account')).status).toBe('queued')
  const asked = await creates()
  const trips = Number(await account('trips'))
  await waitFor('the account to be asked for', async () => Number(await account('trips')) > trips)
  expect(await creates()).toBe(asked)
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  expect(Number(/^genqueue_creation_paused_seconds (\S+)/m.exec(metrics)?.[1])).toBeGreaterThan(0)
  await clearFaults()
  await allOnce(ids)
})

test('F28 a webhook URL that Replicate refuses pauses creation, and no job fails', async () => {
  const habits = (change: object): Promise<unknown> =>
    fetch(`${service.simulator.url}/_sim/habits`, { method: 'POST', body: JSON.stringify(change) })
  await habits({ http_webhooks: false })
  const ids = await submitAll('F28 webhook', 3)
  for (const id of ids)
    expect(await waitingFor(id, 'webhook')).toMatchObject({
      status: 'queued',
      waiting_for: { detail: expect.stringContaining('PUBLIC_URL') },
    })
  await waitFor('the condition', async () =>
    (await service.client.health()).conditions.some(
      ({ name, title, detail }) =>
        name === 'pause_webhook' && title.includes('PUBLIC_URL') && detail.includes('GET /account'),
    ),
  )
  await habits({ http_webhooks: true })
  await allOnce(ids)
})

test('a local upstream that this process did not start gets no webhook URL of the listener', async () => {
  const polling = await startService({ timings: SHORT_TIMINGS, webhooks: false })
  try {
    expect((await polling.client.health()).webhooks.expected).toBe(false)
    const { id } = await polling.client.submit(hello('by polling'))
    expect((await finished(polling, id)).status).toBe('succeeded')
    const { predictions } = await polling.simulator.books()
    expect(predictions.find(({ webhook }) => webhook?.includes(id))?.webhook).toMatch(/^https:/)
  } finally {
    await polling.stop()
  }
})

test('F29 Replicate is away for long: no job is lost or expires, and creation comes back on a ramp within the limit', async () => {
  const running = await submitMany(service, 4, () => ({ model: 'google/gemini-3-pro', input: { prompt: 'F29' } }))
  for (const id of running) await inPhase(service, id, 'created', 'running')
  await service.simulator.faults({ webhooks: { drop: 1 } })
  await proxy.refuse()
  proxy.resetAll()
  const ids = await submitAll('F29', 28)
  await waitingFor(ids.at(-1) ?? '', 'upstream')
  // The job may say so before the circuit breaker has tripped: polls fail as well.
  await waitFor('creation to be paused', async () => (await account('half_open')) !== null)
  const clock = await pauseClock()
  const down = performance.now()
  await waitFor('some time to pass', () => performance.now() - down > 2000)
  // Then it takes connections and says nothing.
  await proxy.heal()
  proxy.blackHole()
  await waitFor('a long time to pass', () => performance.now() - down > 5000)
  const jobs = await Promise.all(ids.map((id) => service.client.get(id)))
  // Those in flight when it began, and an occasional probe.
  expect(jobs.reduce((sum, { attempt }) => sum + attempt, 0)).toBeLessThan(15)
  // Nothing of that time counts for the deadlines of starting.
  expect((await pauseClock()) - clock).toBeGreaterThan(4900)
  const back = Date.now()
  await proxy.heal()
  await clearFaults()
  await allOnce([...ids, ...running])
  const times = (await sentAt(ids)).map(({ at }) => at)
  expect(mostInOneSecond(times)).toBeLessThanOrEqual(PER_SECOND + BURST + ROUNDED)
  const first = Math.min(...times.filter((at) => at >= back))
  // The rate grows from a tenth to the whole within a second.
  expect(times.filter((at) => at >= first && at < first + 1000).length).toBeLessThan(PER_SECOND * 0.75)
})
