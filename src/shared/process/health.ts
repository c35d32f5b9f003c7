import { DeadlineError, withDeadline } from '../values/deadline.ts'
import { messageOf } from '../values/error-text.ts'

/** Content of `/readyz`: every check by name, and whether work can be accepted. */
export interface Readiness {
  ready: boolean
  checks: Record<string, CheckResult>
}

/** `optional`: a failed check does not affect readiness. */
export interface CheckResult {
  ok: boolean
  detail: string
  optional?: true
}

export type HealthCheck = () => Promise<CheckResult>

/** Wraps a check so that it is shown but does not affect readiness. */
export const informative =
  (check: HealthCheck): HealthCheck =>
  async () => ({ ...(await check()), optional: true })

/** Caches the result of an expensive check for `ms`. */
export function rememberCheck(check: HealthCheck, ms: number): HealthCheck {
  let last: { at: number; result: ReturnType<HealthCheck> } | null = null
  return () => {
    if (last === null || Date.now() - last.at > ms) last = { at: Date.now(), result: check() }
    return last.result
  }
}

/** Runs all checks at once; one that throws or is silent for `timeoutMs` has failed. */
export async function runChecks(checks: Record<string, HealthCheck>, timeoutMs = 2500): Promise<Readiness> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]): Promise<readonly [string, CheckResult]> => {
      try {
        return [name, await withDeadline(check(), timeoutMs, name)]
      } catch (error) {
        return [name, { ok: false, detail: error instanceof DeadlineError ? 'no response' : messageOf(error) }]
      }
    }),
  )
  return { ready: results.every(([, { ok, optional }]) => ok || optional), checks: Object.fromEntries(results) }
}
