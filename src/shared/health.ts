/** What `/readyz` tells: every check by name, and whether work can be taken. */
export interface Readiness {
  ready: boolean
  checks: Record<string, CheckResult>
}

/** `optional`: this part can take work although the check failed. */
export interface CheckResult {
  ok: boolean
  detail: string
  optional?: true
}

export type HealthCheck = () => Promise<CheckResult>

/** A check that is shown and does not decide whether work can be taken. */
export const informative =
  (check: HealthCheck): HealthCheck =>
  async () => ({ ...(await check()), optional: true })

/** Asks at most once in so many ms: for checks that cost something. */
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
      let timer: NodeJS.Timeout | undefined
      const silence = new Promise<CheckResult>((resolve) => {
        timer = setTimeout(() => resolve({ ok: false, detail: 'no answer' }), timeoutMs)
      })
      try {
        return [name, await Promise.race([check(), silence])]
      } catch (error) {
        return [name, { ok: false, detail: error instanceof Error ? error.message : String(error) }]
      } finally {
        clearTimeout(timer)
      }
    }),
  )
  return { ready: results.every(([, { ok, optional }]) => ok || optional), checks: Object.fromEntries(results) }
}
