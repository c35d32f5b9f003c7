import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { BudgetBook, BudgetStore } from './ports.ts'
import {
  decodeBudgets,
  decodeCounts,
  MOST_BUDGETS,
  readBudgets,
  scopeOf,
  type Budget,
} from './rules/spending-budget.ts'

const changeBudgets = loadScript(new URL('change-budgets.lua', import.meta.url))

const hashReply = z.record(z.string(), z.string())

/** Scopes whose budgets a process remembers. */
const MAX_REMEMBERED = 20_000
/** Changes of the same scope at the same time. */
const MAX_RACES = 20

type BudgetKeys = Pick<JobKeys, 'budgets' | 'budgetCounts'>

/** One field of the hash for each scope, and one for each budget, which names its scope. */
export function createRedisBudgetStore({
  redis,
  keys,
  confirmDurable,
}: {
  redis: Redis
  keys: BudgetKeys
  /** Waits until the last writes of this connection survive a power failure; throws when they do not. */
  confirmDurable?: () => Promise<void>
}): BudgetStore {
  /** Replaces the budgets of a scope by those that `change` makes of them; null: nothing is to be changed. */
  async function replace(
    scope: string,
    id: string,
    change: (budgets: readonly Budget[]) => Budget[] | null,
  ): Promise<void> {
    for (let race = 0; race < MAX_RACES; race++) {
      const before = (await redis.hget(keys.budgets, scope)) ?? ''
      const after = change(readBudgets(before))
      if (after === null) return
      const text = after.length === 0 ? '' : JSON.stringify(after)
      const exists = after.some((one) => one.id === id) ? '1' : '0'
      const done = await changeBudgets(redis, [keys.budgets], [scope, before, text, id, exists])
      if (Number(done) === 0) continue
      await confirmDurable?.()
      return
    }
    throw new Error(`the budgets of ${scope} were changed ${MAX_RACES} times at once`)
  }

  const scopeById = (id: string): Promise<string | null> => redis.hget(keys.budgets, id)

  async function read(id: string): Promise<Budget | null> {
    const scope = await scopeById(id)
    if (scope === null) return null
    return readBudgets((await redis.hget(keys.budgets, scope)) ?? '').find((one) => one.id === id) ?? null
  }

  return {
    read,

    async list() {
      return decodeBudgets(hashReply.parse(await redis.hgetall(keys.budgets)))
    },

    async add(budget) {
      const known = await read(budget.id)
      if (known !== null) return { status: 'known', budget: known }
      let isFull = false
      let found: Budget | null = null
      await replace(scopeOf(budget), budget.id, (budgets) => {
        found = budgets.find(({ id }) => id === budget.id) ?? null
        isFull = budgets.length >= MOST_BUDGETS
        return found !== null || isFull ? null : [...budgets, budget]
      })
      if (found !== null) return { status: 'known', budget: found }
      return isFull ? { status: 'too_many' } : { status: 'added', budget }
    },

    async change(id, changes) {
      const scope = await scopeById(id)
      if (scope === null) return null
      await replace(scope, id, (budgets) =>
        budgets.some((one) => one.id === id)
          ? budgets.map((one) => (one.id === id ? { ...one, ...changes } : one))
          : null,
      )
      return read(id)
    },

    async remove(id) {
      const scope = await scopeById(id)
      if (scope !== null) await replace(scope, id, (budgets) => budgets.filter((one) => one.id !== id))
    },

    async counts(id, period) {
      const hash = hashReply.parse(await redis.hgetall(keys.budgetCounts(id, period)))
      return { used: decodeCounts('used', hash), alerted: decodeCounts('alerted', hash) }
    },

    now: () => redisNow(redis),
  }
}

/** Remembers what it has read: the script of an acceptance compares it with what is kept. */
export function createBudgetBook({ redis, keys }: { redis: Redis; keys: Pick<JobKeys, 'budgets'> }): BudgetBook {
  const known = new Map<string, string>()
  return {
    async texts(scopes, { fresh }) {
      const wanted = scopes.filter((scope) => fresh || !known.has(scope))
      if (wanted.length > 0) {
        if (known.size + wanted.length > MAX_REMEMBERED) known.clear()
        const texts = await redis.hmget(keys.budgets, ...wanted)
        for (const [i, scope] of wanted.entries()) known.set(scope, texts[i] ?? '')
      }
      const found = new Map<string, string>()
      for (const scope of scopes) found.set(scope, known.get(scope) ?? '')
      return found
    },
  }
}
