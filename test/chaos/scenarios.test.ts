import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { QueueName } from '../../src/queues/contracts.ts'
import { startReceiver } from '../support/receiver.ts'
import { waitFor } from '../support/wait-for.ts'
import { hello, long, paidPicture, startScenarios, type Scenario } from './scenario.ts'

/** A process dies, or stands still, exactly at one border. Numbers are those of docs/failure-modes.md's list of tests. */

let s: Scenario
beforeAll(async () => {
  s = await startScenarios({ logLevel: 'info', simulatorSpeed: 4 })
})
const queues: Queue[] = []
/** To disturb it as no worker does. */
function queue(name: QueueName): Queue {
  const opened = new Queue(name, { connection: s.fleet.inspect, prefix: s.fleet.keys.queues })
  queues.push(opened)
  return opened
}
afterEach(async () => {
  await s.noWorkers()
  await Promise.all(queues.splice(0).map((opened) => opened.close()))
})
afterAll(() => s?.stop())

describe('a worker killed', () => {
  test('F1 before the intent: the job is done by another, with one POST', async () => {
    const { id } = await s.client.submit(hello('F1'))
    await s.killedAt('commit:intend:before')
    await s.worker()
    expect(await s.finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toHaveLength(1)
  })

  test('F2 after the intent and before the POST: nothing is sent until it is known that nothing was', async () => {
    const { id } = await s.client.submit(hello('F2'))
    await s.killedAt('commit:intend:after')
    expect(await s.rows(id)).toHaveLength(0)
    await s.worker()
    const job = await s.finished(id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 2 })
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
    expect(await s.attempt(id, 1, 'outcome')).toBe('not_created')
  })

  test('F3 after the POST and before its answer: the webhook adopts, even with no worker alive', async () => {
    const { id } = await s.client.submit(hello('F3'))
    await s.killedAt('create:after')
    const job = await s.finished(id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
  })

  test('F4 there, and the webhook is lost: the listing adopts', async () => {
    await s.fleet.simulator.faults({ webhooks: { drop: 1 } })
    const { id } = await s.client.submit(hello('F4'))
    await s.killedAt('create:after')
    await s.worker()
    const job = await s.finished(id)
    expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
    expect(await s.causes(id)).toContain('succeeded by list')
  })

  test('F5 there, and neither comes in time: the job fails, and what surfaces later is canceled and counted', async () => {
    // A worker has started and found the outcome undecidable by then; the run lasts for 15 s at least.
    await s.fleet.simulator.faults({ webhooks: { delay: { events: ['start'], seconds: 13 } } })
    const orphans = async (): Promise<number> =>
      Number(await s.fleet.inspect.hget(s.fleet.keys.counters, 'orphan_predictions'))
    const before = await orphans()
    const { id } = await s.client.submit(long('F5'))
    await s.killedAt('create:after')
    await s.fleet.simulator.faults({ list: { status: { code: 503 } } })
    await s.worker(null, { undecidable: 5500 })
    expect(await s.finished(id)).toMatchObject({
      status: 'failed',
      error: { code: 'outcome_unknown', billed: 'unknown' },
    })
    await waitFor('the late prediction to be canceled', async () => (await s.rows(id))[0]?.status === 'canceled')
    expect(await s.rows(id)).toHaveLength(1)
    expect(await orphans()).toBe(before + 1)
    expect((await s.client.get(id)).status).toBe('failed')
  })

  test('F6 after the id is saved: the job is finished by polling, and no doorbell creates again', async () => {
    await s.fleet.simulator.faults({ webhooks: { drop: 1 } })
    const { id } = await s.client.submit(hello('F6'))
    await s.killedAt('commit:created:after')
    await s.worker()
    expect(await s.finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toHaveLength(1)
  })

  test.each([
    ['F7 in the middle of a copy', 'store:copy:middle'],
    ['F8 between copy and commit', 'commit:stored:before'],
    ['F8 after the last commit', 'commit:stored:after'],
  ] as const)(
    '%s: the copy is repeated, the file is whole, the job ends once and is paid once',
    async (where, border) => {
      const { id } = await s.client.submit(paidPicture(where))
      await s.killedAt(border)
      await s.worker()
      const job = await s.finished(id)
      expect(job).toMatchObject({ status: 'succeeded', attempt: 1 })
      expect(await s.movements(id)).toEqual(['hold 3000', 'capture 3000'])
      const [artifact] = job.artifacts
      const response = await fetch(artifact?.url ?? '')
      expect((await response.arrayBuffer()).byteLength).toBe(artifact?.bytes)
      const files = readdirSync(join(s.fleet.dataDir, 'artifacts', job.tenant, id, '1'))
      expect(files.filter((name) => !name.endsWith('.part'))).toEqual(['0'])
      expect(await s.rows(id)).toHaveLength(1)
      expect((await s.causes(id)).filter((cause) => cause.startsWith('succeeded'))).toHaveLength(1)
    },
  )

  test('F11 three times over the same job: it is still done', async () => {
    const { id } = await s.client.submit(hello('F11'))
    for (let kill = 0; kill < 3; kill++) await s.killedAt('commit:intend:before')
    await s.worker()
    expect(await s.finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 })
    expect(await s.rows(id)).toHaveLength(1)
  })
})

describe('F9 a worker killed on the way of a notification', () => {
  test.each([
    ['notify:add:before', 1],
    ['notify:add:after', 1],
    ['notify:record:before', 2],
    ['notify:record:after', 1],
  ] as const)('at %s: it arrives, %d times, under one id', async (border, times) => {
    const receiver = await startReceiver()
    const { id } = await s.client.submit(hello(border, { webhook: { url: receiver.url } }))
    await s.killedAt(border)
    await s.worker()
    const logged = async (): Promise<object[]> => {
      const { data } = await s.client.notifications({ job: id })
      return data
    }
    await waitFor('the notification to be delivered', async () =>
      expect.objectContaining({ state: 'delivered' }).asymmetricMatch((await logged())[0]),
    )
    expect(await logged()).toMatchObject([{ type: 'job.succeeded', state: 'delivered', attempts: [{ status: 204 }] }])
    expect(receiver.received).toHaveLength(times)
    expect(new Set(receiver.ids()).size).toBe(1)
    expect(await s.rows(id)).toHaveLength(1)
  })
})

describe('a worker that stands still', () => {
  test.each(['commit:intend:after', 'create:before'] as const)(
    'at %s until another worker has done its job sends nothing when it resumes',
    async (border) => {
      const { id } = await s.client.submit(hello(`frozen at ${border}`))
      const frozen = await s.worker({ border, pass: 1, signal: 'SIGSTOP' })
      await frozen.waitForLine(/^chaos: SIGSTOP/)
      await s.worker()
      const job = await s.finished(id)
      expect(job).toMatchObject({ status: 'succeeded', attempt: 2 })
      frozen.signal('SIGCONT')
      // Its doorbells are taken by others by now: what it still does, it does at once.
      const more = await s.client.submit(hello(`after ${border}`))
      await s.finished(more.id)
      await frozen.kill('SIGTERM')
      expect(await s.rows(id)).toMatchObject([{ id: job.prediction_id }])
    },
  )
})

test('a worker that takes nothing although Redis answers ends itself with exit code 1, and the next one takes over', async () => {
  const sweep = queue('sweep')
  const wedged = await s.worker(null, { sweepSilence: 4000 })
  const first = await s.client.submit(hello('before'))
  await s.finished(first.id)
  // It keeps asking for work and gets none.
  await sweep.pause()
  expect(await wedged.exited).toEqual({ code: 1, signal: null })
  expect(wedged.stdout).toContain('no worker takes jobs')
  await sweep.resume()
  const { id } = await s.client.submit(hello('after'))
  await s.worker()
  await s.finished(id)
})

test('and so does one that leaves a single queue alone', async () => {
  const submit = queue('submit')
  const wedged = await s.worker(null, { sweepSilence: 4000 })
  // It keeps doing everything else.
  await submit.setGlobalRateLimit(1, 3_600_000)
  // One doorbell, for whatever is in line, passes the limit.
  const one = await s.client.submit(hello('one'))
  await s.finished(one.id)
  const two = await s.client.submit(hello('two'))
  expect(await wedged.exited).toEqual({ code: 1, signal: null })
  expect(wedged.stdout).toContain('"queues":["submit"]')
  await submit.removeGlobalRateLimit()
  await submit.removeRateLimitKey()
  await s.worker()
  await s.finished(two.id)
})

describe('the api killed', () => {
  test.each([
    ['before', 'the repeat makes the job'],
    ['after', 'the repeat finds it'],
  ] as const)('F10 %s the accept: %s, and there is one', async (side, _what) => {
    await s.replaceApi({ border: `commit:accept:${side}`, pass: 1, signal: 'SIGKILL' })
    const key = { 'idempotency-key': `F10 ${side}` }
    expect(await s.ask('POST', '/v1/jobs', hello(`F10 ${side}`), key)).toBeNull()
    await s.replaceApi()
    const again = await s.ask('POST', '/v1/jobs', hello(`F10 ${side}`), key)
    expect(again?.status).toBe(202)
    expect(again?.headers.get('idempotent-replayed')).toBe(side === 'after' ? 'true' : null)
    const { data } = await s.client.list({ limit: 100 })
    const mine = data.filter(({ input }) => input?.['text'] === `F10 ${side}`)
    expect(mine.map(({ id }) => id)).toEqual([again?.body.id])
    await s.worker()
    await s.finished(again?.body.id ?? '')
  })
})

describe('SIGTERM under load', () => {
  test('F14 ends within the deadline with exit 0, and nothing is lost or done twice', async () => {
    await s.fleet.simulator.faults({ create: { delay: { seconds: 0.5 } } })
    const worker = await s.productionWorker()
    const jobs = await Promise.all(Array.from({ length: 80 }, (_, i) => s.client.submit(hello(`F14 ${i}`))))
    await worker.waitForLine(/"to":"submitting"/)
    // At the deadline it would exit with 1.
    expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(worker.stdout).not.toMatch(/did not stop|exiting/)
    await s.fleet.simulator.clearFaults()
    await s.worker()
    for (const { id } of jobs) {
      expect(await s.finished(id)).toMatchObject({ status: 'succeeded' })
      expect(await s.rows(id)).toHaveLength(1)
    }
  })

  test('F14 twice ends at once, and the outcome of the create in flight is determined later', async () => {
    await s.fleet.simulator.faults({ create: { delay: { seconds: 4, next: 1 } } })
    const worker = await s.productionWorker()
    const { id } = await s.client.submit(hello('F14 twice'))
    await s.phase(id, 'submitting')
    worker.signal('SIGTERM')
    await worker.waitForLine(/"stopping"/)
    await waitFor('the second signal to be taken', () => {
      worker.signal('SIGTERM')
      return worker.stdout.includes('exiting at once')
    })
    expect(await worker.exited).toEqual({ code: 130, signal: null })
    await s.worker()
    expect(await s.finished(id)).toMatchObject({ status: 'succeeded' })
    expect(await s.rows(id)).toHaveLength(1)
  })
})
