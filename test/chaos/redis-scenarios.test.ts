import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appendOnlyFile } from '../support/append-only-file.ts'
import { waitFor } from '../support/wait-for.ts'
import { hello, long, startScenarios, type Scenario } from './scenario.ts'

/** Redis dies, forgets, slows down or fills up. Each test begins with the fleet that the one before left healthy. */

let s: Scenario
beforeAll(async () => {
  s = await startScenarios({ logLevel: 'info' })
  await s.worker()
  await s.worker()
})
afterAll(() => s?.stop())

const submitMany = (name: string, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => s.client.submit(hello(`${name} ${i}`))))

async function allOnce(ids: string[]): Promise<void> {
  for (const id of ids) {
    const job = await s.finished(id)
    expect(job.status).toBe('succeeded')
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
  }
}

describe.each([
  ['1 s', 1000],
  ['15 s', 15_000],
] as const)('F15 Redis dies for %s', (name, outage) => {
  test('the api refuses meanwhile, workers resume automatically, and nothing is lost or paid twice', async () => {
    const jobs = await submitMany(`F15 ${name}`, 150)
    await s.fleet.redis.kill()
    const down = performance.now()
    const refused = await s.ask('POST', '/v1/jobs', hello(`refused ${name}`))
    expect(refused).toMatchObject({ status: 503 })
    expect((await s.ask('GET', '/readyz'))?.status).toBe(503)
    await waitFor('the outage to have lasted', () => performance.now() - down >= outage)
    await s.fleet.redis.start()
    const next = await waitFor('the api to accept again', async () => {
      const answer = await s.ask('POST', '/v1/jobs', hello(`back ${name}`))
      return answer?.status === 202 && answer.body.id
    })
    await s.finished(next)
    // `npm run chaos -- --soak` holds the goal of 10 s.
    await allOnce(jobs.map(({ id }) => id))
  })
})

test('F19 Redis is slow and then silent: no create is sent twice, and an accept without an answer is safe to repeat', async () => {
  const { proxies, redis } = s.fleet
  proxies.apiRedis.latency(250)
  proxies.workerRedis.latency(250)
  const slow = await submitMany('F19 slow', 5)
  await allOnce(slow.map(({ id }) => id))
  await proxies.apiRedis.heal()
  await proxies.workerRedis.heal()

  const key = { 'idempotency-key': 'F19' }
  const send = await s.beginSubmission(key)
  redis.pause()
  expect(await send(hello('F19 silent'))).toMatchObject({ status: 503, body: { code: 'accept_unknown' } })
  const unheard = await s.ask('POST', '/v1/jobs', hello('F19 not even heard'))
  expect(unheard).toMatchObject({ status: 503, body: { code: 'unavailable' } })
  redis.resume()
  const again = await waitFor('the repeat to be answered', async () => {
    const answer = await s.ask('POST', '/v1/jobs', hello('F19 silent'), key)
    return answer?.status === 202 && answer
  })
  const { data } = await s.client.list({ limit: 100 })
  const heard = data.filter(({ input }) => /^F19 (?:silent|not)/.test(String(input?.['text'])))
  expect(heard.map(({ id }) => id)).toEqual([again.body.id])
  await allOnce([again.body.id ?? ''])
})

test('F21 Redis is full: submissions are refused, running jobs finish once, and creation resumes when memory is free again', async () => {
  await s.fleet.simulator.faults({ webhooks: { delay: { seconds: 1 } } })
  const jobs = await submitMany('F21', 40)
  await s.fleet.inspect.config('SET', 'maxmemory', '1mb')
  const refused = await waitFor('an accept to be refused', async () => {
    const answer = await s.ask('POST', '/v1/jobs', hello('F21 refused'))
    return answer?.status === 503 && answer
  })
  expect(refused.body.code).toBe('capacity')
  await s.fleet.inspect.config('SET', 'maxmemory', '0')
  await s.fleet.simulator.clearFaults()
  await allOnce(jobs.map(({ id }) => id))
})

test('F22 Redis forgets its scripts: they are loaded again, and nothing else happens', async () => {
  const before = await submitMany('F22', 40)
  await s.fleet.inspect.script('FLUSH')
  const after = await submitMany('F22 after', 10)
  await allOnce([...before, ...after].map(({ id }) => id))
})

describe('F17 Redis restarts without its last writes: the forgotten prediction is adopted, not created again', () => {
  async function forgetThePrediction(name: string): Promise<string> {
    await s.noWorkers()
    if (name === 'by listing') await s.fleet.simulator.faults({ webhooks: { drop: 1 } })
    const { id } = await s.client.submit(long(`F17 ${name}`))
    // The turn of its tenant is the last that is written for its place in line; Redis may answer before it has written to the file.
    const kept = await waitFor('the accept to be in the file', () => {
      const written = readFileSync(appendOnlyFile(s.fleet.redis))
      const [turn, named] = [written.lastIndexOf(s.fleet.keys.turns('interactive')), written.lastIndexOf(id)]
      return named !== -1 && turn > named && written.length
    })
    const worker = await s.worker()
    await waitFor('the prediction to be recorded', async () => (await s.attempt(id, 1, 'prediction_id')) ?? undefined)
    await worker.kill('SIGKILL')
    await s.fleet.redis.kill()
    truncateSync(appendOnlyFile(s.fleet.redis), kept)
    await s.fleet.redis.start()
    return id
  }

  test('by listing, when no webhook arrives for it', async () => {
    const id = await forgetThePrediction('by listing')
    await waitFor('the api to see the job in the line again', async () => (await s.client.get(id)).phase === 'queued')
    await s.worker()
    const job = await s.finished(id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
  })

  test('by its webhook, before any worker is back', async () => {
    const id = await forgetThePrediction('by its webhook')
    const job = await s.finished(id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
    // F18 continues with a worker.
    await s.worker()
  })
})

test('F18 the append-only file is broken in its middle: Redis does not start, and the api says so', async () => {
  const { id } = await s.client.submit(hello('F18'))
  await s.finished(id)
  await s.fleet.redis.kill()
  const file = appendOnlyFile(s.fleet.redis)
  const whole = readFileSync(file)
  const broken = Buffer.from(whole)
  // Where a command begins: the file has no checksums, so damage inside a value goes unnoticed.
  const command = broken.indexOf('\r\n*', Math.floor(broken.length / 2)) + 2
  broken.fill(0, command, command + 8)
  writeFileSync(file, broken)
  await expect(s.fleet.redis.start()).rejects.toThrow()
  expect((await s.ask('GET', '/readyz'))?.status).toBe(503)
  expect(await s.ask('POST', '/v1/jobs', hello('F18 refused'))).toMatchObject({ status: 503 })
  writeFileSync(file, whole)
  await s.fleet.redis.start()
  await waitFor('the api to be ready', async () => (await s.ask('GET', '/readyz'))?.status === 200)
  expect((await s.client.get(id)).status).toBe('succeeded')
})

test('F16 Redis comes back empty: the api is not ready, and nothing is created', async () => {
  await s.fleet.redis.kill()
  rmSync(join(s.fleet.redis.dataDir, 'redis', 'appendonlydir'), { recursive: true })
  await s.fleet.redis.start()
  const before = (await s.fleet.simulator.books()).counts.created
  const ready = await waitFor('an answer about readiness', async () => {
    const answer = await s.ask('GET', '/readyz')
    return answer !== null && JSON.stringify(answer.body).includes('lost its data') && answer
  })
  expect(ready.status).toBe(503)
  expect((await s.fleet.simulator.books()).counts.created).toBe(before)
})
