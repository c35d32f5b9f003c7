import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { isUnreadableRecord } from '../jobs/record/record-codec.ts'
import { redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { decodeNotification, encodeFrozen, NOTIFICATION_FIELDS } from './notification-codec.ts'
import {
  FIRST_ATTEMPT_WITHIN,
  type AttemptOutcome,
  type EndpointStore,
  type NewNotification,
  type NotificationStore,
} from './ports.ts'
import { createRedisDestinations, ranked } from './redis-destinations.ts'
import { createRedisNotificationLog, membersOf } from './redis-notification-log.ts'
import {
  KEEP_NOTIFICATIONS_MS,
  MOST_ATTEMPTS,
  MOST_NOTIFICATIONS,
  NOTIFICATION_ID,
  type DeliveryAttempt,
  type Notification,
  type NotificationState,
} from './rules/notification.ts'

const beside = (name: string): URL => new URL(name, import.meta.url)
const kept = { ...ranked, includes: [...ranked.includes, beside('keep-notification.lua')] } as const
const addNotification = loadScript(beside('add-notification.lua'), kept)
const changeNotification = loadScript(beside('change-notification.lua'), kept)
const removeNotification = loadScript(beside('remove-notification.lua'), { flags: ['allow-oom'] })

const stateReply = z.enum(['pending', 'delivered', 'failed', 'held'])

/** After this time it is tried again to remove a notification that could not be read, ms. */
const LOOK_AGAIN_MS = 86_400_000

export interface RedisNotificationStoreOptions {
  redis: Redis
  keys: JobKeys
  endpoints: Pick<EndpointStore, 'read'>
  /** Notifications of a tenant that are kept when they are over, and as many that are held. */
  most?: number
}

type Change = Pick<AttemptOutcome, 'state'> &
  Partial<AttemptOutcome> & {
    tries: number
    attempts: readonly DeliveryAttempt[]
    counters?: readonly string[]
  }

/** Counter of the first attempts that came this long after their event, ms. */
const waitedCounter = (ms: number): string =>
  `waited:${FIRST_ATTEMPT_WITHIN.find((seconds) => ms < Number(seconds) * 1000) ?? 'later'}`

const carriesJob = ({ shape, job }: Pick<Notification, 'shape' | 'job'>): boolean => shape !== 'thin' && job !== null

/** The row of the outbox by which a notification keeps payload and files of its job. */
const carryRow = (id: string): string => JSON.stringify({ v: 2, kind: 'carry', notification: id })

export function createRedisNotificationStore({
  redis,
  keys,
  endpoints,
  most = MOST_NOTIFICATIONS,
}: RedisNotificationStoreOptions): NotificationStore {
  const decoded = async (id: string): Promise<Notification | null> =>
    decodeNotification(await redis.hmget(keys.notification(id), ...NOTIFICATION_FIELDS))

  /** Those that exist; `unreadable`: the ids of those that a newer release wrote, or that are damaged. */
  async function readEach(ids: readonly string[]): Promise<{ notifications: Notification[]; unreadable: string[] }> {
    const unreadable: string[] = []
    const found = await Promise.all(
      ids.map((id) =>
        decoded(id).catch((error: unknown) => {
          if (!isUnreadableRecord(error)) throw error
          unreadable.push(id)
          return null
        }),
      ),
    )
    return { notifications: found.filter((one) => one !== null), unreadable }
  }
  const readMany = async (ids: readonly string[]): Promise<Notification[]> => (await readEach(ids)).notifications

  const log = createRedisNotificationLog(redis, keys, readMany)
  const destinations = createRedisDestinations(redis, keys)

  async function read(tenant: string, id: string): Promise<Notification | null> {
    if (!NOTIFICATION_ID.test(id)) return null
    const found = await decoded(id)
    return found?.tenant === tenant ? found : null
  }

  const keptIn = (tenant: string, state: NotificationState): string =>
    keys.keptNotifications(tenant, state === 'held' ? 'held' : 'over')

  /** false: it was changed since it was read. */
  async function change(from: Notification, to: Change): Promise<boolean> {
    const { id, tenant, destination } = from
    const names = [
      keys.notification(id),
      keys.notificationState(tenant, from.state),
      keys.notificationState(tenant, to.state),
      keys.waitingNotifications(destination),
      keys.destinations,
      keys.pendingNotifications,
      keys.keptNotifications(tenant, 'over'),
      keys.keptNotifications(tenant, 'held'),
      keys.notificationExpiry,
      keys.destination(destination),
      keys.notificationCounts,
      keys.job(from.job ?? ''),
      keys.outbox(from.job ?? ''),
    ]
    const written = {
      id,
      rev: from.rev,
      before: from.state,
      after: to.state,
      next: Math.round(to.next ?? 0),
      tries: to.tries,
      attempts: JSON.stringify(to.attempts.slice(-MOST_ATTEMPTS)),
      destination,
      shows: to.destination ?? undefined,
      pause: typeof to.pause === 'number' ? Math.round(to.pause) : undefined,
      event: from.created_at,
      row: carriesJob(from) ? carryRow(id) : undefined,
      keep: KEEP_NOTIFICATIONS_MS,
      most,
      counters: to.counters ?? [],
    }
    return (await changeNotification(redis, names, [JSON.stringify(written)])) === 1
  }

  /** Moves notifications from these states; those that something else changes at the same time are left alone. Returns the number. */
  async function moveEach(
    pages: AsyncIterable<string[]>,
    from: NotificationState,
    to: (one: Notification) => Pick<Change, 'state'> & Partial<Change>,
  ): Promise<number> {
    let moved = 0
    for await (const ids of pages) {
      const found = (await readMany(ids)).filter(({ state }) => state === from)
      const results = await Promise.all(
        found.map((one) => change(one, { tries: one.tries, attempts: one.attempts, ...to(one) })),
      )
      moved += results.filter(Boolean).length
    }
    return moved
  }

  return {
    async add(notification: NewNotification) {
      const { id, tenant, state, destination, job } = notification
      const names = [
        keys.notification(id),
        keys.tenantNotifications(tenant),
        keys.notificationState(tenant, state),
        keys.notificationsOf(tenant),
        keys.waitingNotifications(destination),
        keys.destinations,
        keys.destination(destination),
        keys.pendingNotifications,
        keys.keptNotifications(tenant, 'held'),
        keys.notificationExpiry,
        keys.notificationCounts,
        keys.job(job ?? ''),
        keys.outbox(job ?? ''),
      ]
      const args = [
        id,
        encodeFrozen(notification),
        state,
        String(notification.created_at),
        carriesJob(notification) ? carryRow(id) : '',
        destination,
        tenant,
        String(KEEP_NOTIFICATIONS_MS),
        String(most),
        ...membersOf(notification),
      ]
      return stateReply.parse(await addNotification(redis, names, args))
    },

    read,

    list: log.list,

    async redeliver(tenant, id) {
      for (;;) {
        const found = await read(tenant, id)
        if (found === null) return false
        if (found.endpoint !== null) {
          const endpoint = await endpoints.read(tenant, found.endpoint)
          if (endpoint === null || endpoint.disabled !== null) return false
        }
        const { attempts } = found
        if (await change(found, { state: 'pending', next: 0, tries: 0, attempts })) return true
      }
    },

    claimDestinations: destinations.claim,

    async take(destination, limit, leaseMs) {
      const { ids, more, now } = await destinations.take(destination, limit, leaseMs)
      return { ...(await readEach(ids)), more, now }
    },

    record(taken, attempt, { state, next, destination, pause }) {
      return change(taken, {
        state,
        next,
        tries: taken.tries + 1,
        attempts: [...taken.attempts, attempt],
        destination,
        pause,
        counters: [
          state === 'pending' ? 'retried' : state,
          ...(taken.attempts.length === 0 ? [waitedCounter(attempt.at - taken.created_at)] : []),
        ],
      })
    },

    async postpone(taken, ms) {
      const { tries, attempts } = taken
      await change(taken, { state: 'pending', next: ms, tries, attempts, pause: ms })
    },

    health: destinations.health,

    async resume(tenant, endpoint) {
      await destinations.begin(endpoint)
      await redis.srem(keys.disabledEndpoints, endpoint)
      return moveEach(log.held(tenant, endpoint), 'held', () => ({ state: 'pending', next: 0, tries: 0 }))
    },

    async hold(_tenant, endpoint) {
      await redis.sadd(keys.disabledEndpoints, endpoint)
      return moveEach(destinations.waiting(endpoint), 'pending', () => ({ state: 'held' }))
    },

    async abandon(tenant, destination, error) {
      const at = await redisNow(redis)
      const gone = ({ attempts }: Notification) => ({
        state: 'failed' as const,
        attempts: [...attempts, { at, duration: 0, status: null, error, detail: '' }],
        counters: ['failed'],
      })
      await redis.srem(keys.disabledEndpoints, destination)
      // What comes later for an own webhook has its whole schedule again.
      await destinations.begin(destination)
      const waiting = await moveEach(destinations.waiting(destination), 'pending', gone)
      return waiting + (await moveEach(log.held(tenant, destination), 'held', gone))
    },

    async expire(limit) {
      const now = String(await redisNow(redis))
      const ids = await redis.zrange(keys.notificationExpiry, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
      const { notifications: found, unreadable } = await readEach(ids)
      // Not in the way of the others.
      for (const id of unreadable) await redis.zadd(keys.notificationExpiry, 'XX', Number(now) + LOOK_AGAIN_MS, id)
      const known = new Set([...unreadable, ...found.map(({ id }) => id)])
      const lost = ids.filter((id) => !known.has(id))
      if (lost.length > 0) await redis.zrem(keys.notificationExpiry, ...lost)
      const removed = await Promise.all(
        found.map(async (one) => {
          const { id, tenant, state, rev } = one
          const names = [
            keys.notification(id),
            keys.tenantNotifications(tenant),
            keys.notificationState(tenant, state),
            keys.notificationsOf(tenant),
            keptIn(tenant, state),
            keys.notificationExpiry,
            keys.outbox(one.job ?? ''),
            keys.notificationCounts,
          ]
          return removeNotification(redis, names, [id, String(rev), state, ...membersOf(one)])
        }),
      )
      return removed.filter((reply) => reply === 1).length
    },

    isDue: async () => (await destinations.lateBy()) !== null,

    lateBy: async () => (await destinations.lateBy()) ?? 0,

    mayProgress: async (job, everyMs) => (await redis.set(keys.progressSent(job), '1', 'PX', everyMs, 'NX')) === 'OK',

    async countLossy(outcome) {
      await redis.hincrby(keys.notificationCounts, `lossy:${outcome}`, 1)
    },

    async figures() {
      const [now, pending, [, oldest], counts, disabled, late] = await Promise.all([
        redisNow(redis),
        redis.zcard(keys.pendingNotifications),
        redis.zrange(keys.pendingNotifications, '0', '0', 'WITHSCORES'),
        redis.hgetall(keys.notificationCounts),
        redis.scard(keys.disabledEndpoints),
        destinations.lateBy(),
      ])
      const count = (name: string): number => Number(counts[name] ?? 0)
      return {
        pending,
        oldestPending: oldest === undefined ? null : Math.max(0, now - Number(oldest)),
        held: count('held'),
        disabled,
        late: late ?? 0,
        sent: { delivered: count('delivered'), failed: count('failed'), retried: count('retried') },
        firstAttempts: {
          0.1: count('waited:0.1'),
          1: count('waited:1'),
          5: count('waited:5'),
          60: count('waited:60'),
          600: count('waited:600'),
          later: count('waited:later'),
        },
        lossy: { sent: count('lossy:sent'), failed: count('lossy:failed') },
      }
    },
  }
}
