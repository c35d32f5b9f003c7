import { isRedisTrouble } from '../redis/trouble.ts'
import { DeadlineError, withDeadline } from '../values/deadline.ts'
import { messageOf } from '../values/error-text.ts'
import { CHECK_NAMES, CHECKS, failed, skipped, type CheckName, type CheckResult, type Finding } from './rules/check.ts'

/** Findings of checks that are made together, or whole results that another process made. */
export type Findings = Partial<Record<CheckName, Finding & { duration_ms?: number }>>

/** Checks that are made together. */
export interface CheckGroup {
  names: readonly CheckName[]
  /** ms after which they count as failed. */
  within: number
  run(): Promise<Findings>
}

/** A single check. */
export const single = (name: CheckName, run: () => Promise<Finding> | Finding, within = CHECK_MS): CheckGroup => ({
  names: [name],
  within,
  run: async () => ({ [name]: await run() }),
})

const CHECK_MS = 15_000

/** Runs all checks at once. One that throws or does not end in time has failed; the order of the results is that of `CHECKS`. */
export async function runChecks(groups: readonly CheckGroup[]): Promise<CheckResult[]> {
  const results = await Promise.all(groups.map(runGroup))
  return results.flat().sort((a, b) => CHECK_NAMES.indexOf(a.name) - CHECK_NAMES.indexOf(b.name))
}

async function runGroup({ names, within, run }: CheckGroup): Promise<CheckResult[]> {
  const began = performance.now()
  const findings = await withDeadline(run(), within, 'a check').catch((error: unknown): Findings => {
    const finding =
      error instanceof DeadlineError
        ? failed(
            `No result within ${within / 1000} s.`,
            'Run the doctor again. If it lasts, read the log of the service.',
          )
        : failed(`The check ended with an error: ${messageOf(error)}`, 'Read the log of the service.')
    return allOf(names, finding)
  })
  const duration = Math.round(performance.now() - began)
  return names.flatMap((name) => {
    const { duration_ms = duration, ...finding } = findings[name] ?? {}
    return isWhole(finding) ? [{ name, title: CHECKS[name], ...finding, duration_ms }] : []
  })
}

const isWhole = (finding: Partial<Finding>): finding is Finding => finding.state !== undefined

/** Checks that need Redis are skipped without it: the check `redis` says why. */
export const needsRedis = (group: CheckGroup): CheckGroup => ({
  ...group,
  run: async () => {
    try {
      return await group.run()
    } catch (error) {
      if (!isRedisTrouble(error)) throw error
      return allOf(group.names, skipped('Redis does not respond.'))
    }
  },
})

export const allOf = (names: CheckGroup['names'], finding: Finding): Findings =>
  Object.fromEntries(names.map((name) => [name, finding]))
