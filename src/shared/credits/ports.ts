import type { CreditAccount, LedgerEntry, LedgerKind, OperatorKind } from './rules/ledger.ts'
import type { Budget } from './rules/spending-budget.ts'
import type { CostRow } from './rules/costs.ts'
import type { SpendingLabel, SpendingRow } from './rules/spending.ts'

/** An entry that an operator requests. */
export interface NewEntry {
  kind: OperatorKind
  /** Micro-credits; negative only for an adjustment. */
  amount: number
  reason: string
}

export type EnterResult =
  /** `repeated`: the same request was entered before. */
  | { status: 'entered' | 'repeated'; entry: LedgerEntry }
  /** A different request used this name. */
  | { status: 'key_reused' }
  /** An adjustment may not take the balance below 0. */
  | { status: 'too_low'; balance: number }
  /** A field of the account is no whole number below 2^53; nothing was entered. */
  | { status: 'damaged'; field: string }
  /** The account would not be exactly representable. */
  | { status: 'too_large' }

export interface LedgerQuery {
  limit: number
  /** Last id of the previous page. */
  before?: string | undefined
  kind?: LedgerKind | undefined
  job?: string | undefined
}

/** `next`: cursor of the next page; null on the last page. A page may hold fewer entries than its limit. */
export interface LedgerPage {
  entries: LedgerEntry[]
  next: string | null
}

export interface CreditStore {
  account(tenant: string): Promise<CreditAccount>
  /** Idempotent by `request`, the name of the request. `body`: digest of its content. */
  enter(tenant: string, entry: NewEntry, name: { request: string; body: string }): Promise<EnterResult>
  /** Sets the threshold of `credits.low`, or removes it; the next commit that leaves the balance below it owes the event. */
  setLowBalance(tenant: string, amount: number | null): Promise<void>
  /** Newest first. */
  ledger(tenant: string, query: LedgerQuery): Promise<LedgerPage>
  /** Spending on these days (`2026-01-31`, UTC), by preset unless another group is named. */
  spending(tenant: string, days: readonly string[], by?: SpendingLabel): Promise<SpendingRow[]>
  /** The same of all tenants, by tenant. */
  allSpending(days: readonly string[]): Promise<SpendingRow[]>
  /** What runs cost at Replicate on these days, by model. */
  costs(days: readonly string[]): Promise<CostRow[]>
  /** ms, Redis clock */
  now(): Promise<number>
}

/** The budgets of scopes, for acceptances: the script compares what it was given with what is kept. */
export interface BudgetBook {
  /** The text of the budgets of each scope; '': none. `fresh`: not as this process has seen them before. */
  texts(scopes: readonly string[], options: { fresh: boolean }): Promise<Map<string, string>>
}

/** What a budget counts in a period. */
export interface BudgetCounts {
  /** Subject -> micro-credits. */
  used: Map<string, number>
  /** Subject -> the highest amount at which it has alerted. */
  alerted: Map<string, number>
}

export interface BudgetStore {
  /** Oldest first. */
  list(): Promise<Budget[]>
  read(id: string): Promise<Budget | null>
  /** `known`: there is one with this id, which is returned. `too_many`: the scope has as many as it may have. */
  add(budget: Budget): Promise<{ status: 'added' | 'known'; budget: Budget } | { status: 'too_many' }>
  /** null: there is none. */
  change(id: string, changes: Partial<Pick<Budget, 'title' | 'limit' | 'hard' | 'alert_at'>>): Promise<Budget | null>
  /** Idempotent. Jobs that it has counted stay counted until their counts expire. */
  remove(id: string): Promise<void>
  counts(id: string, period: string): Promise<BudgetCounts>
  /** ms, Redis clock */
  now(): Promise<number>
}
