import type { JobStore } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/logger.ts'

const LOOK_MS = 10_000
/** Sweeps run every second, in whichever process: so long without one means that no worker takes jobs any more. */
const SILENT_MS = 60_000

/**
 * Ends a worker that stopped consuming although Redis answers: a wedged consumer looks healthy from outside and is only
 * cured by a new process. `onSilence` is called once.
 */
export function startWatchdog(store: JobStore, log: Logger, onSilence: () => void): () => void {
  const startedAt = Date.now()
  const look = async (): Promise<void> => {
    const ago = (await store.sweptAgo()) ?? Date.now() - startedAt
    if (ago < SILENT_MS || Date.now() - startedAt < SILENT_MS) return
    clearInterval(timer)
    log.fatal({ silent_ms: Math.round(ago) }, 'Redis answers, but no worker takes jobs: ending, to be started anew')
    onSilence()
  }
  // A Redis that is away answers with an error, or late: then it is not the worker that is silent.
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}
