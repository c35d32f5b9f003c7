import type { Balances, CreditAccount, LedgerEntry } from './ledger.ts'

/** A violated rule, at an entry or for a job. */
export interface LedgerProblem {
  /** `adds_up`: the figures of an account; `hold_resolved`: each hold is captured or released once. */
  rule: 'adds_up' | 'hold_resolved'
  /** Id of the entry, or of the job. */
  id: string
  detail: string
}

export interface Hold {
  amount: number
  /** The entry that made it. */
  entry: string
}

/**
 * Number of settled jobs that are remembered, to detect a second settlement. An older job is only compared with its record,
 * while that exists.
 */
const REMEMBERED = 200_000

const EMPTY: Balances = { granted: 0, balance: 0, held: 0, captured: 0 }
const FIGURES = ['granted', 'balance', 'held', 'captured'] as const

const describe = (figures: Balances): string => FIGURES.map((name) => `${name} ${figures[name]}`).join(', ')
const same = (a: Balances, b: Balances): boolean => FIGURES.every((name) => a[name] === b[name])

/**
 * Replays a ledger from its first entry and reports violated rules. Memory: the open holds and the jobs settled last.
 */
export function createReplay() {
  let figures = EMPTY
  let limited = false
  let entries = 0
  let last: LedgerEntry | null = null
  let opening: LedgerEntry | null = null
  const open = new Map<string, Hold>()
  const settled = new Set<string>()

  function rememberSettled(job: string): void {
    settled.add(job)
    if (settled.size <= REMEMBERED) return
    const [oldest] = settled
    if (oldest !== undefined) settled.delete(oldest)
  }

  /** Returns the figures after the entry, and its violations. */
  function follow(entry: LedgerEntry): { after: Balances; wrong: string[]; unresolved: string[] } {
    const { kind, amount } = entry
    const { granted, balance, held, captured } = figures
    const raised = { granted: granted + amount, balance: balance + amount, held, captured }
    const wrong: string[] = []
    const unresolved: string[] = []
    if (amount < 0 && kind !== 'adjustment') wrong.push(`a ${kind} of ${amount}`)
    switch (kind) {
      case 'opening':
        if (limited) wrong.push('an opening after a grant')
        if (amount === 0 || amount !== -balance) wrong.push(`an opening of ${amount} on a balance of ${balance}`)
        return { after: raised, wrong, unresolved }
      case 'grant':
        if (!limited && balance < 0) wrong.push(`the first grant on a balance of ${balance}`)
        return { after: raised, wrong, unresolved }
      case 'adjustment':
        if (amount < 0 && raised.balance < 0) wrong.push(`an adjustment to a balance of ${raised.balance}`)
        return { after: raised, wrong, unresolved }
      case 'hold': {
        const after = { granted, balance: balance - amount, held: held + amount, captured }
        if (limited && after.balance < 0) wrong.push(`a hold of ${amount} on a balance of ${balance}`)
        if (entry.job === null) unresolved.push('a hold for no job')
        else if (open.has(entry.job) || settled.has(entry.job)) unresolved.push(`a second hold for ${entry.job}`)
        return { after, wrong, unresolved }
      }
      case 'capture':
      case 'release': {
        const hold = entry.job === null ? undefined : open.get(entry.job)
        // Without its hold, only the entry itself shows how much was freed.
        const freed = hold?.amount ?? held - entry.after.held
        if (hold === undefined) unresolved.push(`a ${kind} for ${entry.job ?? 'no job'}, for which nothing is held`)
        if (kind === 'release') {
          if (amount !== freed) unresolved.push(`a release of ${amount}, but ${freed} is held`)
          return { after: { granted, balance: balance + freed, held: held - freed, captured }, wrong, unresolved }
        }
        const most = freed + Math.max(0, balance)
        if (limited && amount > most) wrong.push(`a capture of ${amount}, but only ${most} is available`)
        if (entry.uncollected < 0) wrong.push(`a capture with ${entry.uncollected} uncollected`)
        if (entry.uncollected > 0 && (!limited || amount !== most))
          wrong.push(`a capture of ${amount} with ${entry.uncollected} uncollected, but ${most} is available`)
        return {
          after: { granted, balance: balance + freed - amount, held: held - freed, captured: captured + amount },
          wrong,
          unresolved,
        }
      }
    }
  }

  return {
    /** Takes the next entry; returns its problems. */
    take(entry: LedgerEntry): LedgerProblem[] {
      const { after, wrong, unresolved } = follow(entry)
      if (opening !== null && entry.kind !== 'grant') wrong.push(`an opening before a ${entry.kind}`)
      if (!same(after, entry.after)) wrong.push(`it records ${describe(entry.after)}; replay gives ${describe(after)}`)
      const { granted, balance, held, captured } = entry.after
      if (granted !== balance + held + captured) wrong.push(`${describe(entry.after)} do not add up`)
      if (entry.job !== null && entry.kind === 'hold') open.set(entry.job, { amount: entry.amount, entry: entry.id })
      if (entry.job !== null && (entry.kind === 'capture' || entry.kind === 'release')) {
        open.delete(entry.job)
        rememberSettled(entry.job)
      }
      opening = entry.kind === 'opening' ? entry : null
      limited ||= entry.kind === 'grant'
      // The next entry is judged by the recorded figures, so that one mistake is reported once.
      figures = entry.after
      last = entry
      entries += 1
      return [
        ...wrong.map((detail): LedgerProblem => ({ rule: 'adds_up', id: entry.id, detail })),
        ...unresolved.map((detail): LedgerProblem => ({ rule: 'hold_resolved', id: entry.id, detail })),
      ]
    },

    /** Compares the account, read together with the last entry, with that entry. */
    compare(account: CreditAccount): LedgerProblem[] {
      const id = last?.id ?? 'account'
      const wrong = [
        ...(same(account, figures) ? [] : [`the account: ${describe(account)}; its last entry: ${describe(figures)}`]),
        ...(account.limited === limited
          ? []
          : [limited ? 'a grant was made, but the account is unlimited' : 'the account is limited without a grant']),
        ...(opening === null ? [] : ['an opening that no grant follows']),
      ]
      return wrong.map((detail) => ({ rule: 'adds_up', id, detail }))
    },

    /** Open holds by job. */
    open: open as ReadonlyMap<string, Hold>,
    entries: (): number => entries,
    last: (): LedgerEntry | null => last,
  }
}
