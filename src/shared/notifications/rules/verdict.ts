import type { AttemptOutcome, DestinationHealth } from '../ports.ts'
import type { SendResult } from '../transport-port.ts'
import { RECIPIENT_ERRORS } from './mail-errors.ts'
import type { Notification } from './notification.ts'
import { DISABLE_AFTER_MS, pauseAfter, waitAfter } from './retry.ts'

/** What an attempt means. */
export interface Verdict {
  outcome: AttemptOutcome
  /** Why the endpoint is disabled, or what waits for the destination of an own webhook is given up; null: neither. */
  ends: 'gone' | 'failing' | null
}

const GONE = 410

/**
 * `taken`: the notification before the attempt. `health`: that of its destination before it. `now`: ms, the clock of Redis.
 * `random`: in [0, 1).
 */
export function verdictOf(
  taken: Pick<Notification, 'endpoint' | 'tries'>,
  { status, error, retryAfter, ofDestination = true }: SendResult,
  { health, now, random }: { health: DestinationHealth; now: number; random: number },
): Verdict {
  if (error === null && status !== null && status >= 200 && status < 300)
    return { outcome: { state: 'delivered', next: null, destination: 'well', pause: null }, ends: null }
  const next = isPermanent(taken, { status, error }) ? null : waitAfter(taken.tries + 1, retryAfter, random)
  const state = next === null ? 'failed' : 'pending'
  if (!ofDestination) return { outcome: { state, next, destination: null, pause: null }, ends: null }
  return {
    outcome: {
      state,
      next,
      destination: 'failing',
      pause: pauseAfter(health.failures + 1, retryAfter),
    },
    ends: endOf(taken, status, health, now),
  }
}

/** An endpoint that is gone holds the notification instead: its owner may enable it again. */
const isPermanent = (
  { endpoint }: Pick<Notification, 'endpoint'>,
  { status, error }: Pick<SendResult, 'status' | 'error'>,
): boolean => (error !== null && PERMANENT.has(error)) || (status === GONE && endpoint === null)

const PERMANENT: ReadonlySet<string> = new Set(['forbidden_address', 'refused_for_good', ...RECIPIENT_ERRORS])

function endOf(
  { endpoint }: Pick<Notification, 'endpoint'>,
  status: number | null,
  { failing_since }: DestinationHealth,
  now: number,
): Verdict['ends'] {
  if (status === GONE && endpoint !== null) return 'gone'
  return failing_since !== null && now - failing_since >= DISABLE_AFTER_MS ? 'failing' : null
}
