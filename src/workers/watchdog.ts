import type { JobStore } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/logger.ts'

const LOOKS = 12

/**
 * Ends a worker that stopped consuming although Redis answers: a wedged consumer looks healthy from outside and is only
 * cured by a new process. Sweeps run every second, in any process; without one no worker takes jobs any more. And a
 * queue in which jobs wait beside free hands of this process is not served by it. Either ends the process within
 * `silence` ms; the scheduler of the sweep, which somebody may have deleted, is put back long before that. Only time in
 * which Redis answered and held this deployment, and in which this process was running, counts. `onSilence` is called
 * once.
 */
export function startWatchdog(options: {
  store: Pick<JobStore, 'sweptAgo'>
  /** Queues that were left alone since it was asked before. */
  neglected: () => Promise<readonly string[]>
  /** Puts the scheduler of the sweep back. */
  restoreSweep: () => Promise<void>
  sameDeployment: () => Promise<boolean>
  silence: number
  log: Logger
  onSilence: () => void
}): () => void {
  const { store, neglected, restoreSweep, sameDeployment, silence, log, onSilence } = options
  const interval = silence / LOOKS
  // A neglected queue shows at the second look after it began, and a look may be one interval late.
  const limit = silence - 2 * interval
  let wellSince = Date.now()
  let lastLook = wellSince
  let looking = false
  /** Since when a queue is left alone, ms. */
  let alone = new Map<string, number>()

  async function look(): Promise<void> {
    const began = Date.now()
    // Not looked for longer than that: the process, or the whole machine, stood still.
    if (began - lastLook > 2 * interval) wellSince = began
    lastLook = began
    const seen = await Promise.all([store.sweptAgo(), neglected(), sameDeployment()]).catch(() => undefined)
    const now = Date.now()
    const [ago, names, isOurs] = seen ?? [null, [], false]
    alone = new Map(names.map((name) => [name, alone.get(name) ?? now]))
    // Redis that is away answers with an error, or late: then it is not the worker that is silent.
    if (!isOurs || now - began > interval) wellSince = now
    lastLook = now
    if (now - wellSince >= limit / 3 && (ago ?? limit) >= limit / 3) {
      log.warn({ silent_ms: ago }, 'no sweep ran for a while: its scheduler is put back')
      await restoreSweep().catch((error: unknown) => log.warn({ err: error }, 'the scheduler could not be put back'))
    }
    if (now - wellSince < limit) return
    const queues = [...alone].flatMap(([name, since]) => (now - since >= limit ? [name] : []))
    if ((ago ?? limit) < limit && queues.length === 0) return
    clearInterval(timer)
    log.fatal({ silent_ms: ago, queues }, 'Redis answers, but no worker takes jobs: ending, to be restarted')
    onSilence()
  }

  const timer = setInterval(() => {
    if (looking) return
    looking = true
    void look().finally(() => (looking = false))
  }, interval)
  timer.unref()
  return () => clearInterval(timer)
}
