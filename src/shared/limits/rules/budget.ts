/** Tokens per minute, and the largest burst. */
export interface Rate {
  perMinute: number
  burst: number
}

/** A rate as it is shown: three digits. */
export const shownRate = (perMinute: number): number => Number(perMinute.toPrecision(3))

/** The budgets of creates of the accounts, by name. */
export type AccountRates = Readonly<Record<string, Rate>>

export function rateOf(rates: AccountRates, account: string): Rate {
  const rate = rates[account]
  if (rate === undefined) throw new Error(`the account ${account} is not configured`)
  return rate
}

/** µs between two tokens */
export const intervalOf = ({ perMinute }: Rate): number => 60_000_000 / perMinute

/** Tokens available now. `arrival`: the theoretical arrival time (take-token.lua); both times in µs. */
export function tokensFree(rate: Rate, arrival: number, now: number): number {
  const ahead = Math.max(0, arrival - now) / intervalOf(rate)
  return Math.max(0, Math.floor(rate.burst - ahead))
}

/** A budget of requests per minute, shared by all processes. */
export interface Budget {
  /** Waits for a token; rejects when `signal` aborts first. */
  take(signal: AbortSignal): Promise<void>
}

/**
 * The purposes of reads from Replicate, most urgent first: a cancel saves money, an output that expires soon would be
 * lost, a search for a lost prediction may decide about another create, every other poll can wait, and reads that are passed
 * on to clients must delay none of these.
 */
export const READ_PURPOSES = ['cancel', 'expiring', 'adopt', 'poll', 'relay'] as const
export type ReadPurpose = (typeof READ_PURPOSES)[number]

/** Share of the burst that a read of each purpose leaves for more urgent reads. */
const LEAVES: Record<ReadPurpose, number> = { cancel: 0, expiring: 0.1, adopt: 0.3, poll: 0.5, relay: 0.7 }

/**
 * Tokens that must remain after a read of this purpose has taken one. Without competition each purpose gets the whole
 * rate; under load a more urgent read still finds a token while this one waits.
 */
export const leftBy = (purpose: ReadPurpose, burst: number): number =>
  Math.min(burst - 1, Math.ceil(burst * LEAVES[purpose]))

/** A budget with one priority for each purpose. */
export interface ReadBudget {
  of(purpose: ReadPurpose): Budget
}
