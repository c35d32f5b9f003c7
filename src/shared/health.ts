/** What `/readyz` tells: every check by name, and whether work can be taken. */
export interface Readiness {
  ready: boolean
  checks: Record<string, { ok: boolean; detail: string }>
}

export type HealthCheck = () => Promise<{ ok: boolean; detail: string }>

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
    Object.entries(checks).map(async ([name, check]) => {
      let timer: NodeJS.Timeout | undefined
      const silence = new Promise<{ ok: boolean; detail: string }>((resolve) => {
        timer = setTimeout(() => resolve({ ok: false, detail: 'no answer' }), timeoutMs)
      })
      try {
        return [name, await Promise.race([check(), silence])] as const
      } catch (error) {
        return [name, { ok: false, detail: error instanceof Error ? error.message : String(error) }] as const
      } finally {
        clearTimeout(timer)
      }
    }),
  )
  return { ready: results.every(([, { ok }]) => ok), checks: Object.fromEntries(results) }
}
