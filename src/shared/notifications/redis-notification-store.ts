import type { Redis } from 'ioredis'
import { encodeTime } from 'ulid'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { decodeNotification, encodeFrozen, NOTIFICATION_FIELDS } from './notification-codec.ts'
import {
  FIRST_ATTEMPT_WITHIN,
  type AttemptOutcome,
  type DestinationHealth,
  type EndpointStore,
  type NewNotification,
  type NotificationQuery,
  type NotificationStore,
} from './ports.ts'
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
const ranked = { flags: ['allow-oom'], includes: [clockLua, beside('rank-destination.lua')] } as const
const kept = { ...ranked, includes: [...ranked.includes, beside('keep-notification.lua')] } as const
const addNotification = loadScript(beside('add-notification.lua'), kept)
const changeNotification = loadScript(beside('change-notification.lua'), kept)
const takeNotifications = loadScript(beside('take-notifications.lua'), ranked)
const beginDestination = loadScript(beside('begin-destination.lua'), ranked)
const removeNotification = loadScript(beside('remove-notification.lua'), { flags: ['allow-oom'] })
const claimDestinations = loadScript(beside('claim-destinations.lua'), {
  flags: ['allow-oom'],
  includes: [clockLua],
})

const stateReply = z.enum(['pending', 'delivered', 'failed', 'held'])
const takenReply = z.tuple([z.coerce.number(), z.enum(['0', '1'])], z.string())
const namesReply = z.array(z.string())
const hashReply = z.array(z.string().nullable())

/** Notifications that are changed or read at once. */
const AT_ONCE = 100
/** How often a list looks further for notifications that meet all conditions. */
const ROUNDS = 20
/** The id of a notice is made by another clock than its event; ms. */
const ID_MARGIN = 60_000
/** Follows every character of an id. */
const AFTER = '\u007f'

const HEALTH_FIELDS = ['failures', 'failing_since', 'paused_until', 'succeeded_at', 'tenant'] as const

export interface RedisNotificationStoreOptions {
  redis: Redis
  keys: JobKeys
  endpoints: Pick<EndpointStore, 'read'>
  /** Notifications of a tenant that are kept when they are over, and as many that are held. */
  most?: number
}

interface Change {
  state: NotificationState
  next: number | null
  tries: number
  attempts: readonly DeliveryAttempt[]
  destination?: AttemptOutcome['destination']
  pause?: number | null
  counter?: string
  /** From its event to the first attempt, ms; null: it is not the first. */
  waited?: number | null
}

/** Counter of the first attempts that came this long after their event, ms. */
const waitedCounter = (ms: number): string =>
  `waited:${FIRST_ATTEMPT_WITHIN.find((seconds) => ms < Number(seconds) * 1000) ?? 'later'}`

const carriesJob = ({ shape, job }: Pick<Notification, 'shape' | 'job'>): boolean => shape !== 'thin' && job !== null

/** The row of the outbox by which a notification keeps payload and files of its job. */
const carryRow = (id: string): string => JSON.stringify({ v: 2, kind: 'carry', notification: id })

const membersOf = ({ id, endpoint, job }: Pick<Notification, 'id' | 'endpoint' | 'job'>): string[] =>
  [endpoint, job].flatMap((of) => (of === null ? [] : [`${of}:${id}`]))

export function createRedisNotificationStore({
  redis,
  keys,
  endpoints,
  most = MOST_NOTIFICATIONS,
}: RedisNotificationStoreOptions): NotificationStore {
  async function readMany(ids: readonly string[]): Promise<Notification[]> {
    const found = await Promise.all(
      ids.map(async (id) => decodeNotification(await redis.hmget(keys.notification(id), ...NOTIFICATION_FIELDS))),
    )
    return found.filter((one) => one !== null)
  }

  async function read(tenant: string, id: string): Promise<Notification | null> {
    if (!NOTIFICATION_ID.test(id)) return null
    const [found] = await readMany([id])
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
    const args = [
      id,
      String(from.rev),
      from.state,
      to.state,
      String(Math.round(to.next ?? 0)),
      String(to.tries),
      JSON.stringify(to.attempts.slice(-MOST_ATTEMPTS)),
      to.destination ?? '',
      to.pause === null || to.pause === undefined ? '' : String(Math.round(to.pause)),
      destination,
      String(from.created_at),
      carriesJob(from) ? carryRow(id) : '',
      String(KEEP_NOTIFICATIONS_MS),
      String(most),
      ...(to.counter === undefined ? [] : [to.counter]),
      ...(to.waited === null || to.waited === undefined ? [] : [waitedCounter(to.waited)]),
    ]
    return (await changeNotification(redis, names, args)) === 1
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
        found.map((one) => change(one, { next: null, tries: one.tries, attempts: one.attempts, ...to(one) })),
      )
      moved += results.filter(Boolean).length
    }
    return moved
  }

  /** What waits for an endpoint, in pages. */
  async function* waitingFor(endpoint: string): AsyncGenerator<string[]> {
    const key = keys.waitingNotifications(endpoint)
    let last = ''
    for (;;) {
      const ids = await redis.zrange(key, '0', String(AT_ONCE - 1))
      // The page before stayed, because something else changes it at the same time.
      if (ids.length === 0 || ids[0] === last) return
      last = ids[0] ?? ''
      yield ids
    }
  }

  /** Forgets the failures of a destination. */
  async function begin(destination: string): Promise<void> {
    const names = [keys.waitingNotifications(destination), keys.destinations, keys.destination(destination)]
    await beginDestination(redis, names, [destination])
  }

  async function* heldFor(tenant: string, endpoint: string): AsyncGenerator<string[]> {
    let after = `(${endpoint}:`
    for (;;) {
      const members = await redis.zrange(
        keys.notificationsOf(tenant),
        after,
        `(${endpoint}:${AFTER}`,
        'BYLEX',
        'LIMIT',
        0,
        AT_ONCE,
      )
      const [newest] = members.slice(-1)
      if (newest === undefined) return
      after = `(${newest}`
      const ids = members.map((member) => member.slice(endpoint.length + 1))
      const scores = await redis.zmscore(keys.notificationState(tenant, 'held'), ...ids)
      yield ids.filter((_id, i) => scores[i] !== null)
    }
  }

  async function destinationOf(destination: string): Promise<{ tenant: string; health: DestinationHealth }> {
    const values = await redis.hmget(keys.destination(destination), ...HEALTH_FIELDS)
    const [failures, failing_since, paused_until, succeeded_at, tenant] = hashReply.parse(values)
    const numberOf = (text: string | null | undefined): number | null =>
      text === null || text === undefined ? null : Number(text)
    const health = {
      failures: Number(failures ?? 0),
      failing_since: numberOf(failing_since),
      paused_until: numberOf(paused_until),
      succeeded_at: numberOf(succeeded_at),
    }
    return { tenant: tenant ?? '', health }
  }

  /** For how long the first destination is due, ms; null: none is. */
  async function lateBy(): Promise<number | null> {
    const [now, [, score]] = await Promise.all([
      redisNow(redis),
      redis.zrange(keys.destinations, '0', '0', 'WITHSCORES'),
    ])
    return score === undefined || Number(score) > now ? null : now - Number(score)
  }

  /** Where a query begins to look: an index, what its members begin with, and the bounds of the ids. */
  function indexOf(tenant: string, { endpoint, job, state }: NotificationQuery): { key: string; prefix: string } {
    const of = endpoint ?? job
    if (of !== undefined) return { key: keys.notificationsOf(tenant), prefix: `${of}:` }
    return {
      key: state === undefined ? keys.tenantNotifications(tenant) : keys.notificationState(tenant, state),
      prefix: '',
    }
  }

  const meets = (
    { endpoint, job, state, created_at }: Notification,
    { created_after = -Infinity, created_before = Infinity, ...query }: NotificationQuery,
  ): boolean =>
    (query.endpoint === undefined || query.endpoint === endpoint) &&
    (query.job === undefined || query.job === job) &&
    (query.state === undefined || query.state === state) &&
    created_at > created_after &&
    created_at < created_before

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

    async list(tenant, query) {
      const { key, prefix } = indexOf(tenant, query)
      const idAt = (ms: number): string => `ntf_${encodeTime(Math.max(0, ms), 10)}`
      const low =
        query.created_after === undefined ? `[${prefix}` : `[${prefix}${idAt(query.created_after - ID_MARGIN)}`
      const bounds = [
        query.before,
        query.created_before === undefined ? undefined : idAt(query.created_before + ID_MARGIN),
        AFTER,
      ].filter((id) => id !== undefined)
      let until = bounds.sort()[0] ?? AFTER
      const found: Notification[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const members = await redis.zrange(key, `(${prefix}${until}`, low, 'BYLEX', 'REV', 'LIMIT', 0, query.limit + 1)
        const ids = members.map((member) => member.slice(prefix.length))
        found.push(...(await readMany(ids)).filter((one) => meets(one, query)))
        if (found.length > query.limit) {
          const notifications = found.slice(0, query.limit)
          return { notifications, last: notifications.at(-1)?.id ?? null }
        }
        if (members.length <= query.limit) return { notifications: found, last: null }
        until = ids.at(-1) ?? until
      }
      return { notifications: found, last: until }
    },

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

    async claimDestinations(limit, leaseMs) {
      const reply = await claimDestinations(redis, [keys.destinations], [String(limit), String(leaseMs)])
      return Promise.all(
        namesReply.parse(reply).map(async (destination) => {
          return { destination, ...(await destinationOf(destination)) }
        }),
      )
    },

    async take(destination, limit, leaseMs) {
      const waiting = keys.waitingNotifications(destination)
      const reply = await takeNotifications(
        redis,
        [waiting, keys.destinations, keys.destination(destination)],
        [destination, String(limit), String(leaseMs)],
      )
      const [now, more, ...ids] = takenReply.parse(reply)
      return { notifications: await readMany(ids), more: more === '1', now }
    },

    record(taken, attempt, { state, next, destination, pause }) {
      return change(taken, {
        state,
        next,
        tries: taken.tries + 1,
        attempts: [...taken.attempts, attempt],
        destination,
        pause,
        counter: state === 'pending' ? 'retried' : state,
        waited: taken.attempts.length === 0 ? attempt.at - taken.created_at : null,
      })
    },

    async postpone(taken, ms) {
      const { tries, attempts } = taken
      await change(taken, { state: 'pending', next: ms, tries, attempts, pause: ms })
    },

    async health(destination) {
      return (await destinationOf(destination)).health
    },

    async resume(tenant, endpoint) {
      await begin(endpoint)
      await redis.srem(keys.disabledEndpoints, endpoint)
      return moveEach(heldFor(tenant, endpoint), 'held', () => ({ state: 'pending', next: 0, tries: 0 }))
    },

    async hold(_tenant, endpoint) {
      await redis.sadd(keys.disabledEndpoints, endpoint)
      return moveEach(waitingFor(endpoint), 'pending', () => ({ state: 'held' }))
    },

    async abandon(tenant, destination, error) {
      const at = await redisNow(redis)
      const gone = ({ attempts }: Notification) => ({
        state: 'failed' as const,
        attempts: [...attempts, { at, duration: 0, status: null, error, detail: '' }],
        counter: 'failed',
      })
      await redis.srem(keys.disabledEndpoints, destination)
      // What comes later for an own webhook has its whole schedule again.
      await begin(destination)
      const waiting = await moveEach(waitingFor(destination), 'pending', gone)
      return waiting + (await moveEach(heldFor(tenant, destination), 'held', gone))
    },

    async expire(limit) {
      const now = String(await redisNow(redis))
      const ids = await redis.zrange(keys.notificationExpiry, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
      const found = await readMany(ids)
      const known = new Set(found.map(({ id }) => id))
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

    isDue: async () => (await lateBy()) !== null,

    lateBy: async () => (await lateBy()) ?? 0,

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
        lateBy(),
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
