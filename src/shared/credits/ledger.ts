import { z } from 'zod'

/**
 * The vocabulary of credits (docs/credits.md). Every amount is a whole number of micro-credits: a credit has 1,000,000.
 * For each tenant granted = balance + held + captured, after every entry of its ledger.
 */

export interface Balances {
  /** All that was ever granted, adjustments included. */
  granted: number
  /** What new jobs may use; of an unlimited tenant it may be below 0. */
  balance: number
  /** For jobs that are not over. */
  held: number
  /** Taken for jobs that are. */
  captured: number
}

export interface CreditAccount extends Balances {
  /** Jobs must be paid for: from its first grant on. */
  limited: boolean
}

export const LEDGER_KINDS = ['opening', 'grant', 'adjustment', 'hold', 'capture', 'release'] as const
export type LedgerKind = (typeof LEDGER_KINDS)[number]

/** What an operator may enter. */
export const OPERATOR_KINDS = ['grant', 'adjustment'] as const satisfies readonly LedgerKind[]
export type OperatorKind = (typeof OPERATOR_KINDS)[number]

export interface LedgerEntry {
  /** `<ms>-<n>`, growing; ms of the Redis clock */
  id: string
  kind: LedgerKind
  /** What moved; only that of an adjustment may be negative. */
  amount: number
  /** The account as it stood after it. */
  after: Balances
  /** Of hold, capture and release. */
  job: string | null
  batch: string | null
  /** Of a capture: what the job cost beyond what the account had. */
  uncollected: number
  /** Of grant and adjustment. */
  reason: string | null
}

/** `0-0` is before every entry: Redis takes it for no id. */
export const ENTRY_ID = /^(?!0+-0+$)\d{1,15}-\d{1,15}$/

export const entryTime = ({ id }: Pick<LedgerEntry, 'id'>): number => Number(id.split('-')[0])

const whole = z.coerce.number().int()
const word = z
  .string()
  .optional()
  .transform((text) => text || null)

const entrySchema = z.object({
  kind: z.enum(LEDGER_KINDS),
  amount: whole,
  granted: whole,
  balance: whole,
  held: whole,
  captured: whole,
  job: word,
  batch: word,
  uncollected: whole.default(0),
  reason: word,
})

/** `flat`: field, value, ... of the stream's entry. */
export function decodeEntry(id: string, flat: readonly string[]): LedgerEntry {
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
  const { granted, balance, held, captured, ...rest } = entrySchema.parse(Object.fromEntries(pairs))
  return { id, ...rest, after: { granted, balance, held, captured } }
}

const accountSchema = z.object({
  granted: whole.default(0),
  balance: whole.default(0),
  held: whole.default(0),
  captured: whole.default(0),
  limited: z
    .string()
    .optional()
    .transform((text) => text !== undefined),
})

/** An account that nothing has moved yet is empty and unlimited. */
export const decodeAccount = (hash: Record<string, string>): CreditAccount => accountSchema.parse(hash)
