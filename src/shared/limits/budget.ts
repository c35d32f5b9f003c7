/** Tokens per minute, and how many may be taken at once. */
export interface Rate {
  perMinute: number
  burst: number
}

/** µs between two tokens */
export const intervalOf = ({ perMinute }: Rate): number => 60_000_000 / perMinute

/** How many tokens could be taken at once now. `arrival`: the theoretical arrival time (take-token.lua); both in µs. */
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
 * What a read of Replicate is for; those before go first: a cancel saves money, what expires soon would be lost, what is
 * looked for may decide about another create, and everything else can be asked later.
 */
export const READ_PURPOSES = ['cancel', 'expiring', 'adopt', 'poll'] as const
export type ReadPurpose = (typeof READ_PURPOSES)[number]

/** The share of the burst that a read leaves to those that go before it. */
const LEAVES: Record<ReadPurpose, number> = { cancel: 0, expiring: 0.1, adopt: 0.3, poll: 0.5 }

/**
 * How many tokens must be left when a read of this purpose has taken one. So its rate is the whole one while nobody else
 * asks, and when there is too much to do those that go before find a token while it waits.
 */
export const leftBy = (purpose: ReadPurpose, burst: number): number =>
  Math.min(burst - 1, Math.ceil(burst * LEAVES[purpose]))

/** A budget whose requests differ in how urgent they are. */
export interface ReadBudget {
  of(purpose: ReadPurpose): Budget
}
