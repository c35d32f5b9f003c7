import type { AccountRoom, CreateRates, CreationPause } from '../shared/jobs/ports.ts'
import type { JobState } from '../shared/jobs/rules/job.ts'
import { mayMove } from '../shared/jobs/rules/submit.ts'
import {
  allowedAccounts,
  createTurns,
  type AccountState,
  type AccountTerms,
} from '../shared/replicate/rules/account-choice.ts'

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
  /** When an account was tried last. */
  const tried = new Map<string, number>()

  async function stateOf(name: string): Promise<AccountState & { isHalfOpen: boolean }> {
    const weight = weights.get(name) ?? 1
    const pause = await store.pause(name)
    if (pause !== null) return { name, weight, wait: null, isHalfOpen: pause.until === null }
    if (!(await store.hasRoom(name))) return { name, weight, wait: null, isHalfOpen: false }
    const { free, perMinute } = await store.createRate(name)
    const behind = (waiting.get(name) ?? 0) + 1 - free
    return { name, weight, wait: (Math.max(0, behind) * 60_000) / perMinute, isHalfOpen: false }
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

  async function pick(allowed: readonly string[]): Promise<string | null> {
    const [only, second] = allowed
    if (only === undefined || second === undefined) return only ?? null
    const states = await Promise.all(allowed.map(stateOf))
    const now = clock()
    const untried = states.find(
      ({ name, isHalfOpen }) => isHalfOpen && now - (tried.get(name) ?? Number.NEGATIVE_INFINITY) >= TRY_AGAIN_MS,
    )
    if (untried) {
      tried.set(untried.name, now)
      return untried.name
    }
    return turnOf(states) ?? firstToResume(allowed)
  }

  return {
    /** null: the account of an open attempt of the job is not configured any more. */
    async choose(state: JobState): Promise<ChosenAccount | null> {
      const allowed = allowedAccounts(terms, state.job)
      const moves = mayMove(state)
      const account = moves ? await pick(allowed) : state.job.account
      if (account === null || !names.has(account)) return null
      waiting.set(account, (waiting.get(account) ?? 0) + 1)
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
