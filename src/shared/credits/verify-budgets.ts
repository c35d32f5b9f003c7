import { periodFrom } from './rules/period.ts'
import { keepCountsUntil, type Budget } from './rules/spending-budget.ts'
import type { LedgerEntry } from './rules/ledger.ts'
import { isDamage, type LedgerSource } from './verify-ledger.ts'

/** Which budget in which period. */
export interface CountName {
  budget: string
  period: string
}

/** What a budget counts in a period, by subject. `since`: when the first job was counted, ms. */
export interface FoundCounts extends CountName {
  used: Map<string, number>
  since: number
}

/** Reads budgets and ledgers while the service keeps writing them. */
export interface BudgetSource extends Pick<LedgerSource, 'entries'> {
  budgets(): Promise<Budget[]>
  /** An atomic read of these counts and of the last entry of these ledgers. */
  budgetMoment(
    counts: readonly CountName[],
    tenants: readonly string[],
  ): Promise<{ now: number; found: FoundCounts[]; last: Map<string, string> }>
}

export interface BudgetProblem {
  /** `<budget>:<period>` */
  id: string
  detail: string
}

/** An entry has the time at which its script began: at most this long before the first count, ms. */
const LATEST = 60_000

const nameOf = ({ budget, period }: CountName): string => `${budget}:${period}`

/** Adds up what the entries of one ledger say that budgets count. */
function createRecount(sums: Map<string, CountName & { used: Map<string, number> }>) {
  const open = new Map<string, Pick<LedgerEntry, 'amount' | 'budgets'>>()
  function add({ budgets }: Pick<LedgerEntry, 'budgets'>, amount: number): void {
    for (const [budget, period, subject] of budgets) {
      const name = { budget, period }
      const { used } = sums.get(nameOf(name)) ?? { used: new Map<string, number>() }
      used.set(subject, (used.get(subject) ?? 0) + amount)
      sums.set(nameOf(name), { ...name, used })
    }
  }
  return {
    last: null as string | null,
    take({ kind, job, amount, budgets }: LedgerEntry): void {
      if (job === null) return
      if (kind === 'hold' && budgets.length > 0) {
        open.set(job, { amount, budgets })
        add({ budgets }, amount)
      }
      const hold = open.get(job)
      if ((kind !== 'capture' && kind !== 'release') || !hold) return
      open.delete(job)
      add(hold, (kind === 'capture' ? amount : 0) - hold.amount)
    },
  }
}

/**
 * Recounts all budgets from the ledgers: in each period what was held for the jobs that were accepted in it, and of those that are
 * over what was captured. `counts`: those that exist. May run while the service runs.
 */
export async function verifyBudgets(
  source: BudgetSource,
  tenants: readonly string[],
  counts: readonly CountName[],
): Promise<BudgetProblem[]> {
  try {
    return await recountBudgets(source, tenants, counts)
  } catch (error) {
    if (!isDamage(error)) throw error
    return [{ id: 'budgets', detail: `they cannot be recounted: ${error.message}` }]
  }
}

async function recountBudgets(
  source: BudgetSource,
  tenants: readonly string[],
  counts: readonly CountName[],
): Promise<BudgetProblem[]> {
  const { found: counted } = await source.budgetMoment(counts, [])
  const budgets = new Map((await source.budgets()).map((budget) => [budget.id, budget]))
  const since = Math.min(...counted.map((one) => one.since), ...[...budgets.values()].map((one) => one.created_at))
  if (since === Infinity) return []
  const sums = new Map<string, CountName & { used: Map<string, number> }>()
  const recounts = new Map(tenants.map((tenant) => [tenant, createRecount(sums)]))
  async function read(last: ReadonlyMap<string, string>): Promise<void> {
    for (const [tenant, recount] of recounts) {
      const upTo = last.get(tenant)
      if (upTo === undefined || upTo === recount.last) continue
      for await (const page of source.entries(tenant, recount.last ?? `${Math.max(0, since - LATEST)}-0`, upTo))
        for (const entry of page) recount.take(entry)
      recount.last = upTo
    }
  }
  await read((await source.budgetMoment([], tenants)).last)
  const names = new Map([...counted, ...sums.values()].map((one) => [nameOf(one), one]))
  const moment = await source.budgetMoment([...names.values()], tenants)
  await read(moment.last)

  const problems: BudgetProblem[] = []
  const found = new Map(moment.found.map((one) => [nameOf(one), one.used]))
  for (const [id, { budget: of, period }] of names) {
    const budget = budgets.get(of)
    const isExpired = (): boolean =>
      !budget || keepCountsUntil(periodFrom(budget.period, budget.time_zone, period)) <= moment.now
    const used = found.get(id)
    // Counts expire, and those of a budget that was removed may be gone.
    if (used === undefined && isExpired()) continue
    const right = sums.get(id)?.used ?? new Map<string, number>()
    for (const subject of new Set([...(used?.keys() ?? []), ...right.keys()])) {
      const [is, should] = [used?.get(subject) ?? 0, right.get(subject) ?? 0]
      if (is === should) continue
      const whose = subject === '' ? '' : ` for the user ${subject}`
      problems.push({ id, detail: `it counts ${is}${whose}; the ledgers say ${should}` })
    }
  }
  return problems
}
