import type { Conditions } from './conditions.ts'

/** How one request to upstream ended. `date`: of the answer, ms since 1970; null: it has none. */
export type Seen = { kind: 'answered'; status: number; date: number | null } | { kind: 'unanswered'; reason: string }

/** One lost request is no trouble of upstream. */
const FAILURES = 3

/**
 * Judges upstream by every request of this process, whatever it is for: nothing can wait for upstream without a condition
 * that says so. A process that has never had an answer reports the first failure: then the address or the network is wrong.
 */
export function watchUpstream(conditions: Pick<Conditions, 'set'>): (seen: Seen) => void {
  let failures = 0
  let wasAnswered = false
  return (seen) => {
    if (seen.kind === 'unanswered' || seen.status >= 500) {
      failures++
      const reason = seen.kind === 'unanswered' ? seen.reason : `status ${seen.status}`
      if (failures >= FAILURES || !wasAnswered) conditions.set('upstream_failing', reason)
      return
    }
    failures = 0
    wasAnswered = true
    conditions.set('upstream_failing', null)
    if (seen.status === 401) conditions.set('token_refused', 'status 401')
    else if (seen.status < 300) conditions.set('token_refused', null)
  }
}
