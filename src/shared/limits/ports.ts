import type { LimitChange, LimitName, OperatorAction } from './rules/limit-requests.ts'
import type { JsonObject } from '../values/json.ts'

/** Limits of one scope (rules/limit-scope.ts). */
export interface ScopeLimits {
  scope: string
  /** What applies; null: not limited, or not of this kind of scope. */
  values: Record<LimitName, number | null>
  /** The limits that an operator set. */
  set: readonly LimitName[]
  /** Jobs in flight. */
  inFlight: number
}

/** A pause by an operator. */
export interface ManualPause {
  scope: string
  reason: string
  /** ms */
  since: number
  by: string
}

/** A change by an operator. `by`: a key, or the user of a command line. */
export interface OperatorChange {
  id: string
  /** ms */
  at: number
  by: string
  action: OperatorAction
  scope: string
  detail: JsonObject
}

/** Pauses by hand, for waiting jobs. */
export interface ManualPauses {
  /** The pause of any of these scopes; null: none. */
  pausedBy(scopes: readonly string[]): Promise<Pick<ManualPause, 'scope' | 'reason'> | null>
}

/** Limits and pauses that operators change at run time. Each change is recorded with its author. */
export interface LimitStore extends ManualPauses {
  /** Of every account, and of each scope that has a limit, by name. */
  limits(): Promise<ScopeLimits[]>
  /** Throws `not_found` for an account that does not exist. */
  change(change: LimitChange, by: string): Promise<ScopeLimits>
  /** The oldest first. */
  pauses(): Promise<ManualPause[]>
  /** Pauses creation, or changes the reason of a pause. */
  pause(scope: string, reason: string, by: string): Promise<ManualPause>
  /** False: it was not paused. */
  resume(scope: string, by: string): Promise<boolean>
  /** The newest changes, newest first. */
  changes(limit: number): Promise<OperatorChange[]>
}
