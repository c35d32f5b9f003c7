import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { NewerRecordError } from '../../src/shared/jobs/record/record-codec.ts'
import type { NewNotification, NotificationStore } from '../../src/shared/notifications/ports.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import type { Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import type { DeliveryAttempt, Notification } from '../../src/shared/notifications/rules/notification.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const LEASE = 60_000
const EP = `ep_${ulid()}`
const TENANT = 'acme'
const endpoint = (changes: Partial<Endpoint> = {}): Endpoint => ({
  v: 1,
  id: EP,
  tenant: TENANT,
  kind: 'webhook',
  to: 'https://example.com/hook',
  description: '',
  events: ['job.succeeded'],
  presets: null,
  payload: 'thin',
  secrets: null,
  confirmed_at: null,
  created_at: 0,
  disabled: null,
  ...changes,
})

let keys: JobKeys
let store: NotificationStore
let known: Endpoint | null
beforeEach(() => {
  keys = createJobKeys(freshPrefix())
  known = endpoint()
  store = createRedisNotificationStore({ redis, keys, endpoints: { read: async () => known }, most: 5 })
})

const some = (changes: Partial<NewNotification> = {}): NewNotification => {
  const at = changes.created_at ?? Date.now()
  return {
    id: `ntf_${ulid(at)}_${EP.slice(3)}`,
    tenant: TENANT,
    type: 'job.succeeded',
    endpoint: EP,
    destination: changes.endpoint === null ? `${TENANT} https://own.example` : EP,
    url: null,
    shape: 'thin',
    job: null,
    batch: null,
    data: { job: { id: 'job_x', price: 12345678901234 } },
    created_at: at,
    state: 'pending',
    ...changes,
  }
}
const attempt = (changes: Partial<DeliveryAttempt> = {}): DeliveryAttempt => ({
  at: 1,
  duration: 2,
  status: 200,
  error: null,
  detail: 'ok',
  ...changes,
})
const DELIVERED = { state: 'delivered', next: null, destination: 'well', pause: null } as const
const retried = (next: number, pause: number | null = null) =>
  ({ state: 'pending', next, destination: 'failing', pause }) as const

async function taken(destination = EP): Promise<Notification[]> {
  return (await store.take(destination, 10, LEASE)).notifications
}
async function one(destination = EP): Promise<Notification> {
  const [first, ...more] = await taken(destination)
  if (first === undefined || more.length > 0) throw new Error('not one notification was due')
  return first
}
/** Makes what was taken, paused or claimed due again. */
async function later(...destinations: string[]): Promise<void> {
  await redis.zunionstore(keys.destinations, 1, keys.destinations, 'WEIGHTS', 0)
  for (const destination of destinations) {
    const waiting = keys.waitingNotifications(destination)
    await redis.zunionstore(waiting, 1, waiting, 'WEIGHTS', 0)
    await redis.hdel(keys.destination(destination), 'paused_until')
  }
}
const claimed = async (): Promise<string[]> =>
  (await store.claimDestinations(10, LEASE)).map(({ destination }) => destination)
const figures = async () => {
  const { pending, held, sent } = await store.figures()
  return { pending, held, ...sent }
}

describe('a notification', () => {
  test('is read as it was added, once for each id', async () => {
    const added = some()
    expect(await store.add(added)).toBe('pending')
    expect(await store.add({ ...added, data: {} })).toBe('pending')
    const found = await store.read(TENANT, added.id)
    expect(found).toEqual({
      v: 1,
      ...added,
      state: 'pending',
      rev: 1,
      tries: 0,
      attempts: [],
      next_at: expect.any(Number),
    })
    expect(await store.read('other', added.id)).toBeNull()
    expect(await store.read(TENANT, 'ntf_*')).toBeNull()
    expect(await figures()).toMatchObject({ pending: 1 })
  })

  test('is taken under a lease, and its result is recorded once', async () => {
    await store.add(some())
    expect(await store.isDue()).toBe(true)
    expect(await claimed()).toEqual([EP])
    const first = await one()
    expect(await taken()).toEqual([])
    expect(await store.isDue()).toBe(false)
    await later(EP)
    // Its process died: another one takes it as it was.
    const second = await one()
    expect(second.rev).toBe(first.rev)
    expect(await store.record(second, attempt(), DELIVERED)).toBe(true)
    expect(await store.record(second, attempt(), DELIVERED)).toBe(false)
    expect(await store.record(first, attempt({ status: 500 }), retried(5000))).toBe(false)
    expect(await store.read(TENANT, first.id)).toMatchObject({
      state: 'delivered',
      next_at: null,
      tries: 1,
      attempts: [attempt()],
    })
    expect(await figures()).toEqual({ pending: 0, held: 0, delivered: 1, failed: 0, retried: 0 })
    expect(await claimed()).toEqual([])
  })

  test('that failed waits, as its destination does', async () => {
    await store.add(some())
    const [due] = await store.claimDestinations(10, LEASE)
    expect(due).toMatchObject({ destination: EP, tenant: TENANT, health: { failures: 0, failing_since: null } })
    await store.record(await one(), attempt({ status: 500 }), retried(3_600_000, 7_200_000))
    const health = await store.health(EP)
    expect(health).toMatchObject({ failures: 1, failing_since: expect.any(Number), succeeded_at: null })
    // A new event does not break the pause.
    await store.add(some())
    expect(await claimed()).toEqual([])
    expect(await taken()).toEqual([])
    expect(Number(await redis.zscore(keys.destinations, EP))).toBe(health.paused_until)
    await later(EP)
    const [, newest] = await taken()
    if (!newest) throw new Error('both were due')
    await store.record(newest, attempt(), DELIVERED)
    expect(await store.health(EP)).toEqual({
      failures: 0,
      failing_since: null,
      paused_until: null,
      succeeded_at: expect.any(Number),
    })
  })

  test('keeps its newest attempts', async () => {
    await store.add(some())
    for (let n = 1; n <= 22; n++) {
      await later(EP)
      await store.record(await one(), attempt({ at: n }), retried(0))
    }
    const [found] = (await store.list(TENANT, { limit: 1 })).notifications
    expect(found?.tries).toBe(22)
    expect(found?.attempts.map(({ at }) => at)).toEqual(Array.from({ length: 20 }, (_, i) => i + 3))
  })

  test('is taken a few at a time, and their taker goes on with the rest', async () => {
    for (let n = 0; n < 3; n++) await store.add(some())
    const { notifications, more } = await store.take(EP, 2, LEASE)
    expect([notifications.length, more]).toEqual([2, true])
    expect(await claimed()).toEqual([])
    const [first] = notifications
    if (!first) throw new Error('one was taken')
    await store.record(first, attempt(), DELIVERED)
    // An attempt that ended: the destination is due again.
    expect(await claimed()).toEqual([EP])
    expect(await store.take(EP, 2, LEASE)).toMatchObject({ notifications: [{ state: 'pending' }], more: false })
  })
})

describe('destinations', () => {
  test('come in the order in which they wait, each to one claimer', async () => {
    const order = ['ep_B', 'ep_A', 'ep_C'].map((id) => `${id}${'0'.repeat(25)}`)
    for (const id of order) {
      await store.add(some({ id: `ntf_${ulid()}_x${id.slice(3, 4)}`, endpoint: id, destination: id }))
      await redis.zadd(keys.destinations, String(order.indexOf(id)), id)
    }
    const [two, rest] = await Promise.all([store.claimDestinations(2, LEASE), store.claimDestinations(2, LEASE)])
    expect(two.map(({ destination }) => destination)).toEqual(order.slice(0, 2))
    expect(rest.map(({ destination }) => destination)).toEqual(order.slice(2))
  })
})

describe('an endpoint that is disabled', () => {
  test('holds what is pending, and sends it when it is enabled', async () => {
    const sent = some()
    await store.add(sent)
    await store.record(await one(), attempt(), DELIVERED)
    const all = Array.from({ length: 130 }, () => some())
    for (const added of all) await store.add(added)
    const inFlight = (await store.take(EP, 1, LEASE)).notifications[0]
    if (!inFlight) throw new Error('one was due')
    expect(await store.hold(TENANT, EP)).toBe(130)
    expect(await store.hold(TENANT, EP)).toBe(0)
    expect(await store.record(inFlight, attempt(), DELIVERED)).toBe(false)
    expect(await claimed()).toEqual([])
    expect(await store.add(some({ state: 'held' }))).toBe('held')
    expect(await figures()).toMatchObject({ pending: 0, held: 131 })
    expect(await store.resume(TENANT, EP)).toBe(131)
    expect(await store.resume(TENANT, EP)).toBe(0)
    expect(await figures()).toMatchObject({ pending: 131, held: 0 })
    expect((await store.take(EP, 200, LEASE)).notifications).toHaveLength(131)
    expect(await store.read(TENANT, sent.id)).toMatchObject({ state: 'delivered' })
  })

  test('begins without its failures', async () => {
    await store.add(some())
    await store.record(await one(), attempt({ status: 410 }), retried(1000, 1_000_000))
    await store.hold(TENANT, EP)
    await store.resume(TENANT, EP)
    expect(await store.health(EP)).toMatchObject({ failures: 0, failing_since: null, paused_until: null })
    expect(await one()).toMatchObject({ tries: 0, attempts: [{ status: 410 }] })
  })

  test('whose failures are days old is not disabled by the next one', async () => {
    await store.add(some())
    await store.record(await one(), attempt({ status: 500 }), { ...DELIVERED, state: 'failed', destination: 'failing' })
    const now = Date.now()
    const old = async (days: number) => {
      const at = String(now - days * 24 * 3_600_000)
      await redis.hset(keys.destination(EP), { failed_at: at, failing_since: String(now - 6 * 24 * 3_600_000) })
      await store.add(some())
      return (await store.health(EP)).failing_since
    }
    expect(await old(2)).not.toBeNull()
    expect(await old(4)).toBeNull()
  })

  test('that is removed gives up what it owes', async () => {
    const [waiting, held] = [some(), some({ state: 'held' })]
    await store.add(waiting)
    await store.add(held)
    expect(await store.abandon(TENANT, EP, 'endpoint_removed')).toBe(2)
    expect(await store.abandon(TENANT, EP, 'endpoint_removed')).toBe(0)
    for (const { id } of [waiting, held])
      expect(await store.read(TENANT, id)).toMatchObject({ state: 'failed', attempts: [{ error: 'endpoint_removed' }] })
    expect(await figures()).toMatchObject({ pending: 0, held: 0, failed: 2 })
  })
})

describe('a redelivery', () => {
  test('begins the schedule again, under the same id', async () => {
    const added = some()
    await store.add(added)
    await store.record(await one(), attempt({ status: 500 }), { ...DELIVERED, state: 'failed', destination: 'failing' })
    expect(await taken()).toEqual([])
    expect(await store.redeliver(TENANT, added.id)).toBe(true)
    expect(await store.redeliver(TENANT, added.id)).toBe(true)
    expect(await one()).toMatchObject({ id: added.id, tries: 0, attempts: [{ status: 500 }] })
    expect(await redis.zcard(keys.notificationExpiry)).toBe(0)
    expect(await redis.zcard(keys.keptNotifications(TENANT, 'over'))).toBe(0)
  })

  test('is refused where nothing can be sent', async () => {
    const added = some()
    await store.add(added)
    expect(await store.redeliver('other', added.id)).toBe(false)
    expect(await store.redeliver(TENANT, some().id)).toBe(false)
    known = endpoint({ disabled: { at: 1, reason: 'owner' } })
    expect(await store.redeliver(TENANT, added.id)).toBe(false)
    known = null
    expect(await store.redeliver(TENANT, added.id)).toBe(false)
  })
})

describe('the log', () => {
  test('is found by endpoint, job, state and time, newest first, in pages', async () => {
    const job = `job_${ulid()}`
    const start = 1_700_000_000_000
    const all = Array.from({ length: 12 }, (_, n) =>
      some({
        created_at: start + n * 3_600_000,
        ...(n % 3 === 0 ? { endpoint: null } : {}),
        ...(n % 2 === 0 ? { job } : {}),
      }),
    )
    for (const added of all.toSorted((a, b) => (a.id.slice(-3) < b.id.slice(-3) ? -1 : 1))) await store.add(added)
    await store.add(some({ tenant: 'other' }))
    const newest = all.toReversed()
    const page = async (query: object): Promise<number[]> => {
      const found: number[] = []
      let before: string | undefined
      do {
        const { notifications, last } = await store.list(TENANT, { limit: 2, before, ...query })
        expect(notifications.length).toBeLessThanOrEqual(2)
        found.push(...notifications.map(({ id }) => newest.findIndex((known_) => known_.id === id)))
        before = last ?? undefined
      } while (before !== undefined)
      return found
    }
    const where = (is: (one: NewNotification, n: number) => boolean): number[] =>
      newest.flatMap((added, n) => (is(added, all.length - 1 - n) ? [n] : []))
    expect(await page({})).toEqual(where(() => true))
    expect(await page({ endpoint: EP })).toEqual(where((added) => added.endpoint === EP))
    expect(await page({ job })).toEqual(where((added) => added.job === job))
    expect(await page({ job, endpoint: EP })).toEqual(where((added) => added.job === job && added.endpoint === EP))
    expect(await page({ created_after: start + 3_600_000 })).toEqual(where((_, n) => n > 1))
    expect(await page({ created_before: start + 3_600_000 })).toEqual(where((_, n) => n < 1))
    await store.hold(TENANT, EP)
    expect(await page({ state: 'held' })).toEqual(where((added) => added.endpoint === EP))
    expect(await page({ state: 'pending', job })).toEqual(
      where((added) => added.endpoint === null && added.job === job),
    )
    expect(await page({ state: 'delivered' })).toEqual([])
  })

  test('keeps as many as it may, and nothing that is not over', async () => {
    for (let n = 0; n < 8; n++) {
      await store.add(some({ job: `job_${ulid()}` }))
      await store.record(await one(), attempt(), DELIVERED)
    }
    await store.add(some())
    expect(await store.expire(100)).toBe(3)
    expect(await store.expire(100)).toBe(0)
    expect(await figures()).toMatchObject({ pending: 1, delivered: 8 })
    expect((await store.list(TENANT, { limit: 100 })).notifications).toHaveLength(6)
    expect((await store.list(TENANT, { limit: 100, state: 'delivered' })).notifications).toHaveLength(5)
    await redis.zunionstore(keys.notificationExpiry, 1, keys.notificationExpiry, 'WEIGHTS', 0)
    await store.add(some({ state: 'held' }))
    expect(await store.expire(100)).toBe(5)
    expect((await store.list(TENANT, { limit: 100 })).notifications.map(({ state }) => state).sort()).toEqual([
      'held',
      'pending',
    ])
    await redis.zunionstore(keys.notificationExpiry, 1, keys.notificationExpiry, 'WEIGHTS', 0)
    expect(await store.expire(100)).toBe(1)
    expect(await figures()).toMatchObject({ held: 0 })
    await store.record(await one(), attempt(), DELIVERED)
    await redis.zunionstore(keys.notificationExpiry, 1, keys.notificationExpiry, 'WEIGHTS', 0)
    expect(await store.expire(100)).toBe(1)
    const left = await redis.keys(`${keys.tag}:*`)
    expect(left.sort()).toEqual([keys.destination(EP), keys.notificationCounts].sort())
  })

  test('keeps no more of those that a disabled endpoint is not sent', async () => {
    for (let n = 0; n < 8; n++) await store.add(some({ state: 'held' }))
    expect(await store.expire(100)).toBe(3)
    expect(await store.expire(100)).toBe(0)
    expect((await store.list(TENANT, { limit: 100 })).notifications).toHaveLength(5)
    expect(await figures()).toMatchObject({ held: 5 })
  })

  test('keeps no more of those that end faster than they are removed', async () => {
    for (let n = 0; n < 150; n++) {
      await store.add(some())
      await store.record(await one(), attempt(), DELIVERED)
    }
    expect(await store.expire(1000)).toBe(145)
  })
})

describe('a notification of a newer release', () => {
  const newer = async (changes: Partial<NewNotification> = {}): Promise<string> => {
    const added = some(changes)
    await store.add(added)
    const doc: unknown = JSON.parse((await redis.hget(keys.notification(added.id), 'doc')) ?? '')
    await redis.hset(
      keys.notification(added.id),
      'doc',
      JSON.stringify(Object.assign(Object(doc), { type: 'job.new' })),
    )
    return added.id
  }

  test('is in no list, and alone says so', async () => {
    const first = some()
    await store.add(first)
    const id = await newer()
    const last = some()
    await store.add(last)
    const { notifications } = await store.list(TENANT, { limit: 10 })
    expect(notifications.map((found) => found.id).sort()).toEqual([first.id, last.id].sort())
    await expect(store.read(TENANT, id)).rejects.toThrow(NewerRecordError)
    await expect(store.redeliver(TENANT, id)).rejects.toThrow(NewerRecordError)
  })

  test('stays as it is where all of its endpoint are held, given up or removed from the log', async () => {
    const ids = [await newer(), await newer({ state: 'held' })]
    const records = () => Promise.all(ids.map((id) => redis.hgetall(keys.notification(id))))
    const before = await records()
    // More than are looked at together.
    for (let n = 0; n < 130; n++) await store.add(some({ created_at: Date.now() + 1 }))
    expect(await store.hold(TENANT, EP)).toBe(130)
    expect(await store.abandon(TENANT, EP, 'endpoint_removed')).toBe(130)
    const over = ids.flatMap((id) => ['0', id])
    await redis.zadd(keys.notificationExpiry, ...over)
    await redis.zunionstore(keys.notificationExpiry, 1, keys.notificationExpiry, 'WEIGHTS', 0)
    // They come first once only.
    await store.expire(2)
    expect(await store.expire(1000)).toBeGreaterThan(100)
    expect((await redis.zrange(keys.notificationExpiry, '0', '-1')).sort()).toEqual(ids.toSorted())
    expect(await records()).toEqual(before)
  })
})

describe('a notification that carries its job', () => {
  const carrying = (job: string): NewNotification => some({ job, shape: 'full' })

  test('keeps a row in the outbox of the job until it is over', async () => {
    const job = `job_${ulid()}`
    await redis.hset(keys.job(job), 'rev', '1')
    const added = carrying(job)
    const rows = () => redis.hkeys(keys.outbox(job))
    await store.add(added)
    await store.add(some({ job }))
    expect(await rows()).toEqual([`carry:${added.id}`])
    // A release without notifications leaves the job alone.
    expect(JSON.parse((await redis.hvals(keys.outbox(job)))[0] ?? '')).toMatchObject({ v: 2 })
    await store.hold(TENANT, EP)
    expect(await rows()).toEqual([`carry:${added.id}`])
    await store.resume(TENANT, EP)
    for (const due of await taken()) {
      await store.record(due, attempt({ status: 500 }), retried(0))
      expect(await rows()).toEqual([`carry:${added.id}`])
    }
    await later(EP)
    for (const due of await taken()) await store.record(due, attempt(), DELIVERED)
    expect(await rows()).toEqual([])
    await store.redeliver(TENANT, added.id)
    expect(await rows()).toEqual([`carry:${added.id}`])
    await store.abandon(TENANT, EP, 'endpoint_removed')
    expect(await rows()).toEqual([])
  })

  test('makes no outbox for a job that is gone', async () => {
    const job = `job_${ulid()}`
    await store.add(carrying(job))
    expect(await redis.exists(keys.outbox(job))).toBe(0)
  })
})
