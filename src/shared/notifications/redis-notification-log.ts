import type { Redis } from 'ioredis'
import { encodeTime } from 'ulid'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import type { NotificationQuery, NotificationStore } from './ports.ts'
import type { Notification } from './rules/notification.ts'

/** How often a list looks further for notifications that meet all conditions. */
const ROUNDS = 20
/** Notifications of a page of those that are held. */
const PAGE = 100
/** The id of a notice is made by another clock than its event; ms. */
const ID_MARGIN = 60_000
/** Follows every character of an id. */
const AFTER = '\u007f'

const idAt = (ms: number): string => `ntf_${encodeTime(Math.max(0, ms), 10)}`

const meets = (
  { endpoint, job, state, created_at }: Notification,
  { created_after = -Infinity, created_before = Infinity, ...query }: NotificationQuery,
): boolean =>
  (query.endpoint === undefined || query.endpoint === endpoint) &&
  (query.job === undefined || query.job === job) &&
  (query.state === undefined || query.state === state) &&
  created_at > created_after &&
  created_at < created_before

/** The members of the index of endpoints and jobs for a notification. */
export const membersOf = ({ id, endpoint, job }: Pick<Notification, 'id' | 'endpoint' | 'job'>): string[] =>
  [endpoint, job].flatMap((of) => (of === null ? [] : [`${of}:${id}`]))

/** The lists of a tenant's notifications. `readMany`: leaves out those that do not exist. */
export function createRedisNotificationLog(
  redis: Redis,
  keys: JobKeys,
  readMany: (ids: readonly string[]) => Promise<Notification[]>,
) {
  /** Where a query begins to look: an index, and what its members begin with before the id. */
  function indexOf(tenant: string, { endpoint, job, state }: NotificationQuery): { key: string; prefix: string } {
    const of = endpoint ?? job
    if (of !== undefined) return { key: keys.notificationsOf(tenant), prefix: `${of}:` }
    const key = state === undefined ? keys.tenantNotifications(tenant) : keys.notificationState(tenant, state)
    return { key, prefix: '' }
  }

  return {
    async list(tenant: string, query: NotificationQuery): ReturnType<NotificationStore['list']> {
      const { key, prefix } = indexOf(tenant, query)
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

    /** The ids of what is held for an endpoint, in pages. */
    async *held(tenant: string, endpoint: string): AsyncGenerator<string[]> {
      const end = `(${endpoint}:${AFTER}`
      let after = `(${endpoint}:`
      for (;;) {
        const members = await redis.zrange(keys.notificationsOf(tenant), after, end, 'BYLEX', 'LIMIT', 0, PAGE)
        const [newest] = members.slice(-1)
        if (newest === undefined) return
        after = `(${newest}`
        const ids = members.map((member) => member.slice(endpoint.length + 1))
        const scores = await redis.zmscore(keys.notificationState(tenant, 'held'), ...ids)
        yield ids.filter((_id, i) => scores[i] !== null)
      }
    },
  }
}
