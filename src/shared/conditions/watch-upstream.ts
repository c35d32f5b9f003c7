import type { Conditions } from './conditions.ts'

/** Outcome of one request to upstream. `date`: the response's Date header, ms since 1970; null: it has none. */
export type Seen = { kind: 'answered'; status: number; date: number | null } | { kind: 'unanswered'; reason: string }

/** Consecutive failures until upstream counts as failing; a single lost request does not. */
const FAILURES = 3

/**
 * Judges upstream by every request of this process, of any purpose, so that no request waits for upstream without a
 * condition. A process without any response so far reports its first failure: the address or the network is wrong.
 */
export function watchUpstream(conditions: Pick<Conditions, 'set'>) {
  let failures = 0
  let wasAnswered = false
  let isRefused = false
  let isFailing = false

  function see(seen: Seen): void {
    if (seen.kind === 'unanswered' || seen.status >= 500) {
      failures++
      const reason = seen.kind === 'unanswered' ? seen.reason : `status ${seen.status}`
      if (failures >= FAILURES || !wasAnswered) {
        isFailing = true
        conditions.set('upstream_failing', reason)
      }
      return
    }
    failures = 0
    wasAnswered = true
    isFailing = false
    conditions.set('upstream_failing', null)
    if (seen.status === 401) {
      isRefused = true
      conditions.set('token_refused', 'status 401')
    } else if (seen.status < 300) {
      isRefused = false
      conditions.set('token_refused', null)
    }
  }

  return {
    see,
    /** Whether the token was refused, and not accepted since. */
    isRefused: () => isRefused,
    isFailing: () => isFailing,
  }
}
