import type { Logger } from '../process/logger.ts'
import { CONDITION_NAMES, type ConditionName } from './rules/condition.ts'
import type { Conditions } from './conditions.ts'
import { withDeadline } from '../values/deadline.ts'

/** Longest wait for a check in progress at the end, ms. */
const STOP_WITHIN_MS = 500

/** Checks some conditions: the observed cause, or null, for each name. Throws when the check is not possible now. */
export type Look = () => Promise<Partial<Record<ConditionName, string | null>>>

/** Runs all looks every `everyMs`, one round at a time, the first immediately. Returns a function that stops it. */
export function watchConditions(options: {
  conditions: Pick<Conditions, 'set'>
  looks: readonly Look[]
  everyMs: number
  log: Logger
}): () => Promise<void> {
  const { conditions, looks, everyMs, log } = options
  let isStopped = false
  let round: Promise<void> | null = null

  async function once(look: Look): Promise<void> {
    try {
      const found = await look()
      if (isStopped) return
      for (const name of CONDITION_NAMES) {
        const detail = found[name]
        if (detail !== undefined) conditions.set(name, detail)
      }
    } catch (error) {
      // An unresponsive Redis has its own log line.
      log.debug({ err: error }, 'a condition could not be checked')
    }
  }
  const lookAtAll = async (): Promise<void> => {
    await Promise.all(looks.map(once))
    round = null
  }
  const start = (): void => void (round ??= lookAtAll())

  start()
  const timer = setInterval(start, everyMs)
  timer.unref()
  return async () => {
    isStopped = true
    clearInterval(timer)
    // A check that hangs does not delay the end.
    await withDeadline(round ?? Promise.resolve(), STOP_WITHIN_MS, 'a check of conditions').catch(() => undefined)
  }
}
