import type { Redis } from 'ioredis'
import { monotonicFactory } from 'ulid'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { dueNotice } from '../jobs/record/due-member.ts'
import type { TenantNotice } from '../notifications/rules/notice.ts'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { decodeAccount, decodeEntry, type LedgerEntry } from './rules/ledger.ts'
import type { CreditStore, LedgerQuery } from './ports.ts'
import { readable } from './rules/readable.ts'
import { decodeCosts } from './rules/costs.ts'
import { decodeSpending } from './rules/spending.ts'

const beside = (name: string): URL => new URL(name, import.meta.url)
const grant = loadScript(beside('grant.lua'), { includes: [clockLua, beside('credits.lua')] })
const newNotice = monotonicFactory()

const grantReply = z.tuple([
  z.enum(['entered', 'repeated', 'key_reused', 'too_low', 'too_large', 'damaged']),
  z.coerce.string(),
])
const hashReply = z.record(z.string(), z.string())

/** Entries that one filtered page scans at most; the next page continues there. */
const LOOK_THROUGH = 5000
const LOOK_AT_ONCE = 500

const readEntry = (id: string, fields: readonly string[]): LedgerEntry =>
  readable(`The ledger entry ${id}`, () => decodeEntry(id, fields))

type CreditKeys = Pick<
  JobKeys,
  | 'credits'
  | 'ledger'
  | 'ledgerRequests'
  | 'spending'
  | 'spendingBy'
  | 'allSpending'
  | 'upstreamCosts'
  | 'notices'
  | 'subscribed'
  | 'due'
>

export interface RedisCreditStoreOptions {
  redis: Redis
  keys: CreditKeys
  /** Waits until the last writes of this connection survive a power failure; throws when they do not. */
  confirmDurable?: () => Promise<void>
}

export function createRedisCreditStore({ redis, keys, confirmDurable }: RedisCreditStoreOptions): CreditStore {
  /** Newest first, before an id. */
  async function before(tenant: string, id: string | undefined, count: number): Promise<LedgerEntry[]> {
    const from = id === undefined ? '+' : `(${id}`
    const rows = await redis.xrevrange(keys.ledger(tenant), from, '-', 'COUNT', count)
    return rows.map(([id, fields]) => readEntry(id, fields))
  }

  async function ofDays<Row>(
    days: readonly string[],
    keyOf: (day: string) => string,
    decode: (day: string, hash: Record<string, string>) => Row[],
  ): Promise<Row[]> {
    const pipeline = redis.pipeline()
    for (const day of days) pipeline.hgetall(keyOf(day))
    const replies = (await pipeline.exec()) ?? []
    return replies.flatMap(([error, hash], i) => {
      if (error) throw error
      return decode(days[i] ?? '', hashReply.parse(hash))
    })
  }

  async function search(tenant: string, { limit, before: from, kind, job }: LedgerQuery) {
    const found: LedgerEntry[] = []
    let at = from
    for (let looked = 0; looked < LOOK_THROUGH; looked += LOOK_AT_ONCE) {
      const page = await before(tenant, at, LOOK_AT_ONCE)
      for (const entry of page) {
        if ((kind !== undefined && entry.kind !== kind) || (job !== undefined && entry.job !== job)) continue
        found.push(entry)
        if (found.length === limit) return { entries: found, next: entry.id }
      }
      if (page.length < LOOK_AT_ONCE) return { entries: found, next: null }
      at = page.at(-1)?.id
    }
    return { entries: found, next: at ?? null }
  }

  return {
    account: async (tenant) => {
      const hash = await redis.hgetall(keys.credits(tenant))
      return readable('The account', () => decodeAccount(hash))
    },

    async enter(tenant, { kind, amount, reason }, { request, body }) {
      const ledger = keys.ledger(tenant)
      const outbox = [keys.notices(tenant), keys.subscribed(tenant), keys.due]
      const names = [keys.credits(tenant), ledger, keys.ledgerRequests(tenant), ...outbox]
      const notice: TenantNotice = { v: 1, id: newNotice(), type: 'credits.low' }
      const owed = [notice.type, notice.id, JSON.stringify(notice), dueNotice(tenant, notice.id).member]
      const [status, detail] = grantReply.parse(
        await grant(redis, names, [kind, String(amount), reason, request, body, ...owed]),
      )
      if (status === 'damaged') return { status, field: detail }
      if (status === 'too_low') return { status, balance: Number(detail) }
      if (status === 'key_reused' || status === 'too_large') return { status }
      await confirmDurable?.()
      const [row] = await redis.xrange(ledger, detail, detail)
      if (!row) throw new Error(`entry ${detail} of ${tenant} was made but cannot be read`)
      return { status, entry: readEntry(...row) }
    },

    async setLowBalance(tenant, amount) {
      const account = keys.credits(tenant)
      const change = redis.multi().hdel(account, 'low')
      if (amount === null) change.hdel(account, 'low_balance')
      else change.hset(account, 'low_balance', String(amount))
      for (const [error] of (await change.exec()) ?? []) if (error) throw error
      await confirmDurable?.()
    },

    async ledger(tenant, query) {
      if (query.kind !== undefined || query.job !== undefined) return search(tenant, query)
      const entries = await before(tenant, query.before, query.limit + 1)
      const shown = entries.slice(0, query.limit)
      return { entries: shown, next: entries.length > query.limit ? (shown.at(-1)?.id ?? null) : null }
    },

    spending(tenant, days, by = 'preset') {
      const keyOf = (day: string) => (by === 'preset' ? keys.spending(tenant, day) : keys.spendingBy(tenant, by, day))
      return ofDays(days, keyOf, decodeSpending)
    },
    allSpending: (days) => ofDays(days, keys.allSpending, decodeSpending),
    costs: (days) => ofDays(days, keys.upstreamCosts, decodeCosts),

    now: () => redisNow(redis),
  }
}
