import type { Redis } from 'ioredis'
import { z } from 'zod'
import { isFinal, type Status } from '../jobs/rules/job.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { decoderOf, storedJob } from '../jobs/record/record-codec.ts'
import { timeReply } from '../redis/clock.ts'
import { decodeBudgets, decodeCounts } from './rules/spending-budget.ts'
import type { BudgetSource, CountName, FoundCounts } from './verify-budgets.ts'
import { decodeAccount, decodeEntry } from './rules/ledger.ts'
import type { JobCharge, LedgerSource } from './verify-ledger.ts'

const ENTRIES_AT_ONCE = 500

/** In the order of a job's life, so that a job that moves on during the scan is not missed. */
const OPEN_STATUSES = ['queued', 'starting', 'processing'] as const satisfies readonly Status[]

const hashReply = z.record(z.string(), z.string())
const lastReply = z.array(z.tuple([z.string(), z.array(z.string())]))

const decodeCharge = decoderOf(['phase', 'price', 'estimate', 'captured', 'uncollected'])

function toCharge(id: string, hash: unknown, documents: unknown): JobCharge | null {
  const charge = decodeCharge(storedJob(id, hash, documents))
  if (charge === null) return null
  const { phase, price, estimate, captured, uncollected } = charge
  return { priced: price !== null, final: isFinal(phase), estimate, captured, uncollected }
}

export function createRedisLedgerSource({ redis, keys }: { redis: Redis; keys: JobKeys }): LedgerSource & BudgetSource {
  const toFound = (name: CountName, reply: unknown): FoundCounts[] => {
    const hash = hashReply.parse(reply)
    if (Object.keys(hash).length === 0) return []
    return [{ ...name, used: decodeCounts('used', hash), since: Number(hash['since'] ?? 0) }]
  }
  return {
    budgets: async () => decodeBudgets(hashReply.parse(await redis.hgetall(keys.budgets))),

    async budgetMoment(counts, tenants) {
      const transaction = redis.multi().time()
      for (const { budget, period } of counts) transaction.hgetall(keys.budgetCounts(budget, period))
      for (const tenant of tenants) transaction.xrevrange(keys.ledger(tenant), '+', '-', 'COUNT', 1)
      const replies = ((await transaction.exec()) ?? []).map(([error, reply]) => {
        if (error) throw error
        return reply
      })
      const last = new Map<string, string>()
      for (const [i, tenant] of tenants.entries()) {
        const [newest] = lastReply.parse(replies[1 + counts.length + i])
        if (newest) last.set(tenant, newest[0])
      }
      return {
        now: timeReply.parse(replies[0]),
        found: counts.flatMap((name, i) => toFound(name, replies[1 + i])),
        last,
      }
    },

    async moment(tenant) {
      const transaction = redis.multi().hgetall(keys.credits(tenant))
      const replies = (await transaction.xrevrange(keys.ledger(tenant), '+', '-', 'COUNT', 1).exec()) ?? []
      const [account, rows] = replies.map(([error, reply]) => {
        if (error) throw error
        return reply
      })
      const [newest] = lastReply.parse(rows)
      return { account: decodeAccount(hashReply.parse(account)), last: newest?.[0] ?? null }
    },

    async *entries(tenant, after, upTo) {
      let from = after === null ? '-' : `(${after}`
      for (;;) {
        const rows = await redis.xrange(keys.ledger(tenant), from, upTo, 'COUNT', ENTRIES_AT_ONCE)
        const last = rows.at(-1)
        if (!last) return
        yield rows.map(([id, fields]) => decodeEntry(id, fields))
        from = `(${last[0]}`
      }
    },

    async charges(jobs) {
      if (jobs.length === 0) return []
      const pipeline = redis.pipeline()
      for (const job of jobs) pipeline.hgetall(keys.job(job)).mget(keys.documents(job))
      const replies = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
        // The job's key holds another type.
        if (error?.message.startsWith('WRONGTYPE')) return null
        if (error) throw error
        return reply
      })
      return jobs.map((job, i) => (replies[2 * i] === null ? null : toCharge(job, replies[2 * i], replies[2 * i + 1])))
    },

    async *openJobs(tenant) {
      for (const status of OPEN_STATUSES) {
        const pages: AsyncIterable<string[]> = redis.zscanStream(keys.tenantStatus(tenant, status), { count: 500 })
        for await (const page of pages) yield page.filter((_, i) => i % 2 === 0)
      }
    },
  }
}
