import { ZodError } from 'zod'
import type { CreditAccount, LedgerEntry } from './rules/ledger.ts'
import { createReplay, type LedgerProblem } from './rules/replay-ledger.ts'

/** The charge in a job's record. */
export interface JobCharge {
  /** Whether the job has a price, and so appears in the ledger. */
  priced: boolean
  final: boolean
  estimate: number
  captured: number | null
  uncollected: number
}

/** Reads a ledger while the service keeps writing it. */
export interface LedgerSource {
  /** An atomic read of the account and the id of its last entry; null: no entry. */
  moment(tenant: string): Promise<{ account: CreditAccount; last: string | null }>
  /** Entries in pages, oldest first: after an id (null: from the first), up to and including another. */
  entries(tenant: string, after: string | null, upTo: string): AsyncIterable<LedgerEntry[]>
  /** null: the job does not exist, or no longer. */
  charges(jobs: readonly string[]): Promise<(JobCharge | null)[]>
  /** Jobs of the tenant that are not final, in pages. */
  openJobs(tenant: string): AsyncIterable<string[]>
}

export interface LedgerVerdict {
  tenant: string
  entries: number
  openHolds: number
  /** Number of problems; `problems` holds the first hundred. */
  found: number
  problems: LedgerProblem[]
}

const MAX_REPORTED = 100
const AT_ONCE = 500

/**
 * Replays the ledger of a tenant and compares it with the account and the jobs: every priced job that is not final has one
 * open hold, of its estimate; every other job has none; the captured amount equals that in the job. May run while the
 * service runs.
 */
export async function verifyLedger(source: LedgerSource, tenant: string): Promise<LedgerVerdict> {
  try {
    return await replayLedger(source, tenant)
  } catch (error) {
    if (!isDamage(error)) throw error
    const detail = `the ledger or the account cannot be read: ${wordsOf(error)}`
    return { tenant, entries: 0, openHolds: 0, found: 1, problems: [{ rule: 'adds_up', id: 'ledger', detail }] }
  }
}

/** Damaged data, in contrast to an unreachable Redis: other tenants' ledgers can still be verified. */
export const isDamage = (error: unknown): error is Error =>
  error instanceof ZodError || (error instanceof Error && error.message.startsWith('WRONGTYPE'))

const wordsOf = (error: Error): string =>
  error instanceof ZodError
    ? error.issues
        .slice(0, 5)
        .map(({ path, message }) => `${path.join('.')}: ${message}`)
        .join('; ')
    : error.message

async function replayLedger(source: LedgerSource, tenant: string): Promise<LedgerVerdict> {
  const replay = createReplay()
  const problems: LedgerProblem[] = []
  let found = 0
  function note(more: readonly LedgerProblem[]): void {
    found += more.length
    problems.push(...more.slice(0, MAX_REPORTED - problems.length))
  }
  const unresolved = (id: string, detail: string): void => note([{ rule: 'hold_resolved', id, detail }])

  /** The commit that settles a job also changes its record, so the record is at least as new as the entry. */
  async function compareSettled(page: readonly LedgerEntry[]): Promise<void> {
    const ended = page.filter(({ kind, job }) => job !== null && (kind === 'capture' || kind === 'release'))
    const charges = await source.charges(ended.map(({ job }) => job ?? ''))
    for (const [i, { id, kind, job, amount, uncollected }] of ended.entries()) {
      const charge = charges[i]
      if (!charge) continue
      const captured = kind === 'capture' ? amount : 0
      if (!charge.final) unresolved(id, `a ${kind} for ${job}, which is not final`)
      else if (charge.captured !== captured || charge.uncollected !== uncollected)
        unresolved(
          id,
          `captured ${captured}, uncollected ${uncollected}; ${job} says ${charge.captured ?? 'none'}, ${charge.uncollected}`,
        )
    }
  }

  async function read(after: string | null, upTo: string | null): Promise<void> {
    if (upTo === null) return
    for await (const page of source.entries(tenant, after, upTo)) {
      for (const entry of page) note(replay.take(entry))
      await compareSettled(page)
    }
  }

  /** Replays all entries up to now; returns the account at that moment. */
  async function catchUp(): Promise<CreditAccount> {
    const from = replay.last()?.id ?? null
    const { account, last } = await source.moment(tenant)
    await read(from, last)
    return account
  }

  /** Those of `ids` whose job and hold disagree. A job that changed between the two reads may be among them. */
  async function suspects(ids: readonly string[]): Promise<string[]> {
    const found: string[] = []
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const page = ids.slice(at, at + AT_ONCE)
      const charges = await source.charges(page)
      found.push(...page.filter((id, i) => mismatch(id, charges[i] ?? null) !== null))
    }
    return found
  }

  function mismatch(id: string, charge: JobCharge | null): string | null {
    const hold = replay.open.get(id)
    const isOpen = charge !== null && charge.priced && !charge.final
    if (hold === undefined) return isOpen ? 'it is not final, but nothing is held for it' : null
    if (charge === null) return `${hold.amount} is held for it, but the job does not exist`
    if (!isOpen) return `${hold.amount} is held for it, but it is ${charge.final ? 'final' : 'free'}`
    return hold.amount === charge.estimate
      ? null
      : `${hold.amount} is held for it, but its estimate is ${charge.estimate}`
  }

  note(replay.compare(await catchUp()))
  const doubtful = new Set(await suspects([...replay.open.keys()]))
  for await (const page of source.openJobs(tenant)) for (const id of await suspects(page)) doubtful.add(id)
  if (doubtful.size > 0) {
    // A job may have begun or ended between the two reads. A mismatch that remains after another pair of reads is real.
    const ids = [...doubtful]
    const charges = await source.charges(ids)
    await catchUp()
    for (const [i, id] of ids.entries()) {
      const charge = charges[i] ?? null
      const detail = mismatch(id, charge)
      if (detail === null) continue
      // The job may have been settled since its charge was read: read it once more.
      const [now = null] = await source.charges([id])
      if (mismatch(id, now) !== null) unresolved(id, detail)
    }
  }
  return {
    tenant,
    entries: replay.entries(),
    openHolds: replay.open.size,
    found,
    problems,
  }
}
