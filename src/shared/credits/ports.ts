import type { CreditAccount, LedgerEntry, LedgerKind, OperatorKind } from './ledger.ts'
import type { SpendingRow } from './spending.ts'

/** An entry that an operator asks for. */
export interface NewEntry {
  kind: OperatorKind
  /** Micro-credits; only that of an adjustment may be negative. */
  amount: number
  reason: string
}

export type EnterResult =
  /** `repeated`: this very request had been entered before. */
  | { status: 'entered' | 'repeated'; entry: LedgerEntry }
  /** Another request has this name. */
  | { status: 'key_reused' }
  /** An adjustment may not take the balance below 0. */
  | { status: 'too_low'; balance: number }
  /** Beyond what can be counted exactly. */
  | { status: 'too_large' }

export interface LedgerQuery {
  limit: number
  /** The id that ended the page before. */
  before?: string | undefined
  kind?: LedgerKind | undefined
  job?: string | undefined
}

/** `next`: where the following page begins; null when there is nothing before it. A page may be short of its limit. */
export interface LedgerPage {
  entries: LedgerEntry[]
  next: string | null
}

export interface CreditStore {
  account(tenant: string): Promise<CreditAccount>
  /** `request` names it, so that it is entered once however often it comes; `body`: digest of what it says. */
  enter(tenant: string, entry: NewEntry, name: { request: string; body: string }): Promise<EnterResult>
  /** Newest first. */
  ledger(tenant: string, query: LedgerQuery): Promise<LedgerPage>
  /** What was captured on these days (`2026-01-31`, UTC). */
  spending(tenant: string, days: readonly string[]): Promise<SpendingRow[]>
  /** ms, Redis clock */
  now(): Promise<number>
}
