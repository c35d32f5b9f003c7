import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { storePriority } from '../../src/queues/contracts.ts'
import { closeQueues, createDoorbells, createQueues, type Queues } from '../../src/queues/producer.ts'
import type { Effect } from '../../src/shared/jobs/rules/job.ts'
import type { Doorbells } from '../../src/shared/jobs/ports.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
let queues: Queues
let doorbells: Doorbells
beforeAll(() => {
  queues = createQueues(redis, `{${freshPrefix()}}:queue`, createLogger({ level: 'silent', readable: false }))
  doorbells = createDoorbells(queues, { joinLine: () => Promise.resolve({ claims: 0, waiting: 0 }) })
})
afterAll(async () => {
  await closeQueues(queues)
  redis.disconnect()
})

const newId = (): string => `job_${ulid()}`
const HOUR = 3_600_000
/** What a worker would take, in that order. */
const inLine = async (queue: 'poll' | 'store'): Promise<string[]> =>
  (await queues[queue].getPrioritized()).map(({ name, data }) => data.job ?? name)

test('outputs are copied in the order in which upstream removes them, whenever they were rung for', async () => {
  const now = Date.now()
  const minutes = [50, 5, 60, 20]
  const ids = minutes.map(newId)
  for (const [i, left] of minutes.entries()) {
    const effect: Effect = {
      v: 1,
      kind: 'store',
      attempt: 1,
      output: null,
      output_pending: false,
      expires_at: now + left * 60_000,
      give_up_at: now + HOUR,
    }
    await doorbells.effect(ids[i] ?? '', effect)
  }
  expect(await inLine('store')).toEqual([ids[1], ids[3], ids[0], ids[2]])
})

test('asking goes by urgency: cancels, what upstream removes soon, what is looked for, and the rest', async () => {
  const [poll, soon, cancel] = [newId(), newId(), newId()]
  await doorbells.poll(poll, 1, false)
  await doorbells.window('default', { after: 0, before: 1 }, false, [])
  await doorbells.adopt('default')
  await doorbells.poll(soon, 1, true)
  await doorbells.window('default', { after: 2, before: 3 }, true, [])
  await doorbells.effect(cancel, { v: 1, kind: 'cancel', attempt: 1, prediction_id: 'p', requested_at: 0 })
  expect(await inLine('poll')).toEqual([cancel, soon, 'window', 'adopt', poll, 'window'])
})

test('a slice of time waits once to be listed, and once more for what upstream removes soon', async () => {
  const { length } = await inLine('poll')
  for (let i = 0; i < 3; i++) {
    await doorbells.window('default', { after: 1000, before: 2000 }, false, [])
    await doorbells.window('default', { after: 2000, before: 3000 }, false, [])
    await doorbells.window('default', { after: 1000, before: 2000 }, true, [])
  }
  expect(await inLine('poll')).toHaveLength(length + 3)
})

describe('the priority of a copy', () => {
  test('is one that BullMQ takes, at any time', () => {
    for (const at of [0, Date.now(), 4e12, 2_097_151 * 60_000 - 1, 2_097_151 * 60_000]) {
      expect(storePriority(at)).toBeGreaterThanOrEqual(1)
      expect(storePriority(at)).toBeLessThanOrEqual(2_097_151)
    }
  })
})

test('a notice waits once, and so does the request to send', async () => {
  const id = newId()
  for (let i = 0; i < 2; i++) {
    await doorbells.effect(id, { v: 2, kind: 'notice', id: 'N', type: 'job.succeeded' })
    await doorbells.notice('acme', 'N')
    await doorbells.send()
  }
  const waiting = (await queues.notify.getWaiting()).map(({ name, data }) => ({ name, ...data }))
  expect(waiting.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { name: 'job-notice', v: 1, job: id, effect: 'notice:N' },
    { name: 'send', v: 1 },
    { name: 'tenant-notice', v: 1, tenant: 'acme', id: 'N' },
  ])
})
