import { z } from 'zod'
import { frozenBudgets, type FrozenBudget } from './frozen-budget.ts'
import { ZOD_ERRORS } from '../../errors/zod-errors.ts'

/**
 * The vocabulary of credits (docs/credits.md). Every amount is a whole number of micro-credits: a credit has 1,000,000.
 * For each tenant granted = balance + held + captured, after every entry of its ledger.
 */

export interface Balances {
  /** Sum of all grants and adjustments. */
  granted: number
  /** Available for new jobs; may be negative for an unlimited tenant. */
  balance: number
  /** Held for jobs that are not final. */
  held: number
  /** Captured for final jobs. */
  captured: number
}

export interface CreditAccount extends Balances {
  /** True after the first grant: jobs need a sufficient balance. */
  limited: boolean
  /** The tenant is notified when its balance falls below this; null: never. */
  low_balance: number | null
}

export const LEDGER_KINDS = ['opening', 'grant', 'adjustment', 'hold', 'capture', 'release'] as const
export type LedgerKind = (typeof LEDGER_KINDS)[number]
export const ledgerKind = z.enum(LEDGER_KINDS).meta({ id: 'LedgerKind' })

/** Kinds of entries that an operator may make. */
export const OPERATOR_KINDS = ['grant', 'adjustment'] as const satisfies readonly LedgerKind[]
export type OperatorKind = (typeof OPERATOR_KINDS)[number]

export interface LedgerEntry {
  /** `<ms>-<n>`, increasing; ms of the Redis clock */
  id: string
  kind: LedgerKind
  /** Moved amount; negative only for an adjustment. */
  amount: number
  /** The account after this entry. */
  after: Balances
  /** Hold, capture and release only. */
  job: string | null
  batch: string | null
  /** Hold only: the budgets that count the job. */
  budgets: FrozenBudget[]
  /** Capture only: the part of the price that the account could not cover. */
  uncollected: number
  /** Grant and adjustment only. */
  reason: string | null
}

/** Excludes `0-0`, which Redis does not accept as the id of an entry. */
export const ENTRY_ID = /^(?!0+-0+$)\d{1,15}-\d{1,15}$/

export const entryTime = ({ id }: Pick<LedgerEntry, 'id'>): number => Number(id.split('-')[0])

const whole = z.coerce.number().int()
const word = z
  .string()
  .optional()
  .transform((text) => text || null)

const entrySchema = z.object({
  kind: ledgerKind,
  amount: whole,
  granted: whole,
  balance: whole,
  held: whole,
  captured: whole,
  job: word,
  batch: word,
  budgets: z
    .string()
    .default('[]')
    .transform((text): unknown => JSON.parse(text))
    .pipe(frozenBudgets),
  uncollected: whole.default(0),
  reason: word,
})

/** `flat`: field, value, ... of the stream entry. */
export function decodeEntry(id: string, flat: readonly string[]): LedgerEntry {
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
  const { granted, balance, held, captured, ...rest } = entrySchema.parse(Object.fromEntries(pairs), ZOD_ERRORS)
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
  low_balance: whole.nullable().default(null),
})

/** An account without entries is empty and unlimited. */
export const decodeAccount = (hash: Record<string, string>): CreditAccount => accountSchema.parse(hash, ZOD_ERRORS)
