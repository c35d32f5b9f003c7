import type { Redis } from 'ioredis'
import { encodeTime, MAX_ULID } from 'ulid'
import type { JobKeys } from '../record/job-keys.ts'
import { AFTER_DIGEST, labelDigest, labeledJob, labelMember } from '../record/label-member.ts'
import type { JobQuery } from '../ports.ts'

/**
 * The id of a job is made before its acceptance, with files of its input stored in between, and by the clock of another
 * machine. So the time of its record may be later than that of its id, or a little earlier, by ms.
 */
const ID_EARLIER = 5 * 60_000
const ID_LATER = 60_000

/** Number of ids that are compared with further conditions at once, and how often for one read. */
const COMPARED = 1000
const ROUNDS = 5

/** No id follows it. */
const NEWEST = `job_${MAX_ULID}`
/** The smallest id of this time, ms. */
const idAt = (ms: number): string => `job_${encodeTime(Math.max(0, ms), 10)}${'0'.repeat(16)}`

/** Ids of a tenant's jobs in the order of their creation: all, by status, and by label. */
export function createRedisJobLists({ redis, keys }: { redis: Redis; keys: JobKeys }) {
  /** The digests of labels, that of the fewest jobs first. */
  async function byNumber(key: string, digests: readonly string[]): Promise<readonly string[]> {
    if (digests.length < 2) return digests
    const counts = await Promise.all(
      digests.map((digest) => redis.zlexcount(key, `[${digest}`, `(${digest}${AFTER_DIGEST}`)),
    )
    const number = new Map(digests.map((digest, i) => [digest, counts[i] ?? 0]))
    return digests.toSorted((a, b) => (number.get(a) ?? 0) - (number.get(b) ?? 0))
  }

  return {
    /** The job that owns a prediction; none once the index has forgotten it. */
    async ownerIds(account: string, prediction: string): Promise<string[]> {
      const member = await redis.get(keys.prediction(account, prediction))
      return member === null ? [] : member.split(':').slice(0, 1)
    },

    /** As `JobFinder.list`, without the records. */
    async listIds(
      tenant: string,
      { status, labels = [], created_after, created_before, before, after, limit }: JobQuery,
    ): Promise<{ ids: string[]; last: string | null }> {
      const labelsKey = keys.tenantLabels(tenant)
      const [digest, ...others] = await byNumber(labelsKey, labels.map(labelDigest))
      const statusKey = status === undefined ? null : keys.tenantStatus(tenant, status)
      const key = digest === undefined ? (statusKey ?? keys.tenantJobs(tenant)) : labelsKey
      const memberOf = (id: string): string => (digest === undefined ? id : labelMember(digest, id))
      const idOf = (member: string): string | null => (digest === undefined ? member : labeledJob(member))

      const conditions = others.map((other) => ({ key: labelsKey, of: (id: string) => labelMember(other, id) }))
      if (digest !== undefined && statusKey !== null) conditions.push({ key: statusKey, of: (id) => id })
      async function meetingAll(ids: readonly string[]): Promise<string[]> {
        const scores = await Promise.all(
          conditions.map((condition) => redis.zmscore(condition.key, ...ids.map(condition.of))),
        )
        return ids.filter((_id, i) => scores.every((found) => found[i] !== null))
      }

      const first = created_after === undefined ? null : idAt(created_after - ID_EARLIER)
      const low = first === null ? (digest === undefined ? '-' : `[${digest}`) : `[${memberOf(first)}`
      const bounds = [before, created_before === undefined ? undefined : idAt(created_before + ID_LATER), NEWEST]
      let [until = NEWEST] = bounds.filter((id) => id !== undefined).sort()

      if (after !== undefined) {
        const [from, to] = [`(${memberOf(after)}`, `(${memberOf(until)}`]
        const members = await redis.zrange(key, from, to, 'BYLEX', 'LIMIT', 0, limit + 1)
        const ids = members.slice(0, limit).flatMap((member) => idOf(member) ?? [])
        return {
          ids: conditions.length === 0 || ids.length === 0 ? ids : await meetingAll(ids),
          last: members.length > limit ? (ids.at(-1) ?? null) : null,
        }
      }

      const count = conditions.length === 0 ? limit + 1 : COMPARED
      const found: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const members = await redis.zrange(key, `(${memberOf(until)}`, low, 'BYLEX', 'REV', 'LIMIT', 0, count)
        const ids = members.flatMap((member) => idOf(member) ?? [])
        found.push(...(conditions.length === 0 || ids.length === 0 ? ids : await meetingAll(ids)))
        if (found.length > limit) return { ids: found.slice(0, limit), last: found[limit - 1] ?? null }
        if (members.length < count) return { ids: found, last: null }
        until = ids.at(-1) ?? until
      }
      return { ids: found, last: until }
    },
  }
}
