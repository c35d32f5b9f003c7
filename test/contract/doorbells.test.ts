import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { closeQueues, createDoorbells, createQueues, type Queues } from '../../src/queues/producer.ts'
import type { Doorbells } from '../../src/shared/jobs/ports.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
let queues: Queues
let doorbells: Doorbells
beforeAll(() => {
  queues = createQueues(redis, `{${freshPrefix()}}:queue`, createLogger({ level: 'silent', readable: false }))
  doorbells = createDoorbells(queues, {
    joinLine: () => Promise.resolve({ claims: 0, waiting: 0 }),
    queueCopy: () => Promise.resolve(1),
  })
})
afterAll(async () => {
  await closeQueues(queues)
  redis.disconnect()
})

const newId = (): string => `job_${ulid()}`
/** What a worker would take, in that order. */
const inLine = async (queue: 'poll'): Promise<string[]> =>
  (await queues[queue].getPrioritized()).map(({ name, data }) => data.job ?? name)

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
