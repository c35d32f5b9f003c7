import type { Priority } from './job.ts'

/** When the turn of a waiting job comes (docs/adr/0017-fair-order.md), from figures of the line. */

/** What is ahead of a tenant's job in the order of its class. */
export interface Rival {
  tenant: string
  /** Start tag of its next job. */
  tag: number
  /** Jobs that may go on. */
  jobs: number
  /** By how much each job moves the tag: cost divided by weight. */
  step: number
}

/** A limit of jobs in flight that concerns the job. */
export interface Slots {
  scope: string
  limit: number
  held: number
  /** Jobs that wait for a slot before this one. */
  ahead: number
}

export interface Turn {
  priority: Priority
  tenant: string
  tag: number
  step: number
  /** Jobs of the tenant and class that have been ready for longer. */
  ahead: number
  /** A worker has chosen it. */
  isChosen: boolean
  /** The scope whose limit or pause holds up jobs like this one. */
  blocked: string | null
  isPaused: boolean
  slots: readonly Slots[]
  /** The tenants whose turn is next, by their tags. */
  rivals: readonly Rival[]
  /** Number of tenants after those. */
  moreRivals: number
  /** Jobs of the other class that may go on. */
  otherClass: number
  /** Interactive jobs that were chosen since the last one of a batch. */
  turns: number
  /** Jobs that workers have chosen, and that have no prediction yet. */
  inHand: number
}

/** Interactive jobs for each one of a batch while both wait. */
const INTERACTIVE_EACH = 9

/** Jobs of a tenant that start before the tag `until`; where tags are equal, `isFirst` decides. */
function startsBefore({ tag, jobs, step }: Rival, until: number, isFirst: boolean): number {
  const steps = (until - tag) / step
  const whole = Math.round(steps)
  const isEqual = Math.abs(steps - whole) < 1e-9
  const before = isEqual ? whole + (isFirst ? 1 : 0) : Math.floor(steps) + 1
  return Math.max(0, Math.min(jobs, before))
}

/** Number of jobs that start before this one as far as is known now: jobs that come later may go first too. */
export function positionOf(turn: Turn): number {
  if (turn.isChosen) return 0
  const { tenant, tag, step, ahead, rivals, moreRivals, otherClass, turns, inHand } = turn
  const until = tag + ahead * step
  const each = rivals
    .filter((rival) => rival.tenant !== tenant)
    .map((rival) => startsBefore(rival, until, rival.tenant < tenant))
  const before = ahead + each.reduce((sum, jobs) => sum + jobs, 0) + moreRivals * (each.at(-1) ?? 0)
  const between =
    turn.priority === 'interactive'
      ? Math.floor((turns + before) / INTERACTIVE_EACH)
      : Math.max(0, INTERACTIVE_EACH * (before + 1) - turns)
  return inHand + before + Math.min(otherClass, between)
}

export interface Pace {
  perMinute: number
  /** Creates that are allowed now. */
  free: number
  /** ms until creation resumes. */
  pausedFor: number
}

/** Quantiles. */
export interface Range {
  p50: number
  p90: number
}

/** How real waits compare with forecasts where none is known yet. */
const UNKNOWN_ERROR: Range = { p50: 1, p90: 2 }
/** A wait and its forecast are compared with one second more, because both may be 0. */
const LEAST_S = 1
const MAX_ERROR = 10

/** How much longer a job waited than was forecast, both in seconds. */
export const forecastError = (forecast: number, waited: number): number =>
  (Math.max(0, waited) + LEAST_S) / (forecast + LEAST_S)

/** Seconds until a slot is free; null: not known. */
function slotWait({ limit, held, ahead }: Slots, run: Range | null): number | null {
  const endings = held + ahead + 1 - limit
  if (endings <= 0) return 0
  return run === null || limit === 0 ? null : (endings * run.p50) / limit
}

/** Seconds until the job starts, when everything goes on as at present; null: not known. `run`: time of its runs, s. */
export function forecastStart(turn: Turn, pace: Pace, run: Range | null): number | null {
  if (turn.isPaused) return null
  const creates = (Math.max(0, positionOf(turn) + 1 - pace.free) * 60) / pace.perMinute
  const slots = turn.isChosen ? [] : turn.slots.map((one) => slotWait(one, run))
  if (slots.includes(null)) return null
  return pace.pausedFor / 1000 + Math.max(creates, ...slots.map((wait) => wait ?? 0))
}

/** `errors`: how real waits have compared with forecasts lately; null: too few are known. */
export function startsIn(forecast: number, errors: Range | null): Range {
  const { p50, p90 } = errors ?? UNKNOWN_ERROR
  const shown = (error: number): number =>
    Math.max(0, Math.round((forecast + LEAST_S) * Math.min(error, MAX_ERROR) - LEAST_S))
  return { p50: shown(p50), p90: Math.max(shown(p50), shown(p90)) }
}
