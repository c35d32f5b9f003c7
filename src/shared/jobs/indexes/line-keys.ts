import type { JobKeys } from '../record/job-keys.ts'

/** What scripts include that change the order of waiting jobs. */
export const ORDER_LUA = new URL('order.lua', import.meta.url)

/** Counts durations in a digest. */
export const REMEMBER_RUN = new URL('remember-run.lua', import.meta.url)

/** The keys of the order, as order.lua counts them. */
export const orderKeys = (keys: JobKeys): string[] => [
  keys.line,
  keys.lanes,
  keys.laneHeads,
  keys.turns('interactive'),
  keys.turns('batch'),
  keys.shares,
  keys.places,
  keys.parked,
  keys.flight,
  keys.limits,
  keys.pauses,
  keys.costs,
]
