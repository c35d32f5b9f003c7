import type { ManualPause, OperatorChange, ScopeLimits } from '../ports.ts'

/** Limits, pauses and operators' changes, as the API and the command line show them. */

export const limitsView = ({ scope, values, set, inFlight }: ScopeLimits) => ({
  scope,
  ...values,
  set: [...set],
  in_flight: inFlight,
})

export const pauseView = ({ scope, reason, since, by }: ManualPause) => ({
  scope,
  reason,
  since: new Date(since).toISOString(),
  by,
})

export const changeView = ({ id, at, by, action, scope, detail }: OperatorChange) => ({
  id,
  at: new Date(at).toISOString(),
  by,
  action,
  scope,
  detail,
})
