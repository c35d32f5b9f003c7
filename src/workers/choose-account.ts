import type { AccountRoom, CreateRates, CreationPause } from '../shared/jobs/ports.ts'
import type { JobState } from '../shared/jobs/rules/job.ts'
import { mayMove } from '../shared/jobs/rules/submit.ts'
import {
  allowedAccounts,
  createTurns,
  type AccountState,
  type AccountTerms,
} from '../shared/replicate/rules/account-choice.ts'
import { sumOf } from '../shared/values/sum.ts'

export interface ChooseDependencies {
  store: CreationPause & CreateRates & AccountRoom
  terms: readonly AccountTerms[]
  /** Monotonic, ms. */
  clock: () => number
}

export interface ChosenAccount {
  account: string
  /** The other accounts that the job may use. */
  others: readonly string[]
  /** Whether it may change to one of them: no attempt of the job is open or unknown. */
  mayMove: boolean
  /** Whether there is no other account, for other jobs either. */
  isOnly: boolean
  /** The job needs it no more: it has a permit, or does not wait for one. */
  leave: () => void
}

/** Interval between two jobs of a process that try whether an account works again, ms. */
const TRY_AGAIN_MS = 2_000

/**
 * Chooses the account in which the prediction of a job is created: one that it may use, that is not paused, and that has room
 * first. A circuit breaker that is half open needs a create to close, so now and then one job tries such an account.
 */
export function createChooseAccount({ store, terms, clock }: ChooseDependencies) {
  const turnOf = createTurns()
  const names = new Set(terms.map(({ name }) => name))
  const weights = new Map(terms.map(({ name, weight }) => [name, weight]))
  /** Jobs of this process that wait for a permit of an account. */
  const waiting = new Map<string, number>()
  /** Creates per minute of the accounts, as they were read last. */
  const rates = new Map<string, number>()
  /** When an account was tried last. */
  const tried = new Map<string, number>()

  /** What Redis says of an account. `rate` null: nothing can be created there now. */
  async function factsOf(name: string) {
    const pause = await store.pause(name)
    if (pause !== null) return { name, rate: null, isHalfOpen: pause.until === null }
    if (!(await store.hasRoom(name))) return { name, rate: null, isHalfOpen: false }
    const rate = await store.createRate(name)
    rates.set(name, rate.perMinute)
    return { name, rate, isHalfOpen: false }
  }

  function stateOf({ name, rate }: Awaited<ReturnType<typeof factsOf>>): AccountState {
    const weight = weights.get(name) ?? 1
    if (rate === null) return { name, weight, wait: null }
    const behind = (waiting.get(name) ?? 0) + 1 - rate.free
    return { name, weight, wait: (Math.max(0, behind) * 60_000) / rate.perMinute }
  }

  /** Of accounts that are all paused, the one that may go on first. */
  async function firstToResume(allowed: readonly string[]): Promise<string | null> {
    let found: string | null = null
    let soonest = Infinity
    for (const name of allowed) {
      const pause = await store.pause(name)
      const until = pause === null ? 0 : (pause.until ?? 0)
      if (until < soonest) [found, soonest] = [name, until]
    }
    return found
  }

  function take(name: string): string {
    waiting.set(name, (waiting.get(name) ?? 0) + 1)
    return name
  }

  async function pick(allowed: readonly string[]): Promise<string | null> {
    const [only, second] = allowed
    if (only === undefined) return null
    if (second === undefined) return take(only)
    const facts = await Promise.all(allowed.map(factsOf))
    const now = clock()
    const untried = facts.find(
      ({ name, isHalfOpen }) => isHalfOpen && now - (tried.get(name) ?? Number.NEGATIVE_INFINITY) >= TRY_AGAIN_MS,
    )
    if (untried) {
      tried.set(untried.name, now)
      return take(untried.name)
    }
    // In one turn with the count of those that wait, because several jobs choose at the same time.
    const chosen = turnOf(facts.map(stateOf))
    if (chosen !== null) return take(chosen)
    const first = await firstToResume(allowed)
    return first === null ? null : take(first)
  }

  return {
    /** null: the account of an open attempt of the job is not configured any more. */
    async choose(state: JobState): Promise<ChosenAccount | null> {
      const allowed = allowedAccounts(terms, state.job)
      const moves = mayMove(state)
      if (!moves && !names.has(state.job.account)) return null
      const account = moves ? await pick(allowed) : take(state.job.account)
      if (account === null) return null
      let isHere = true
      return {
        account,
        others: allowed.filter((name) => name !== account),
        mayMove: moves,
        isOnly: names.size === 1,
        leave() {
          if (isHere) waiting.set(account, (waiting.get(account) ?? 1) - 1)
          isHere = false
        },
      }
    },

    /** ms between two tokens of all accounts together. `own`: of this account, which has none now. */
    everyMs(account: string, own: number): number {
      rates.set(account, 60_000 / own)
      return 60_000 / sumOf([...rates.values()], (perMinute) => perMinute)
    },

    /** Whether the job had better be created in another account, because this one is paused or has no room. */
    async shouldMove({ mayMove: moves, others }: ChosenAccount): Promise<boolean> {
      if (!moves) return false
      const isUsable = async (name: string): Promise<boolean> =>
        (await store.pause(name)) === null && (await store.hasRoom(name))
      return (await Promise.all(others.map(isUsable))).includes(true)
    },
  }
}

export type ChooseAccount = ReturnType<typeof createChooseAccount>
