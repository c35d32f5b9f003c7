import type { Logger } from '../logger.ts'
import { CONDITION_NAMES, type ConditionName } from './condition.ts'
import type { Conditions } from './conditions.ts'

/** Looks whether conditions last: what was met, or null, for each of its names. Throws when that cannot be found out now. */
export type Look = () => Promise<Partial<Record<ConditionName, string | null>>>

/** Looks every `everyMs`, one round at a time, the first one at once; returns how to stop. */
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
      // Redis that does not answer has its own line in the log.
      log.debug({ err: error }, 'a condition could not be looked at')
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
    await Promise.race([round, new Promise((resolve) => setTimeout(resolve, 500).unref())])
  }
}
