import type { LastSweep } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/process/logger.ts'

const CHECKS = 12

/**
 * Watchdog: ends a worker that stopped consuming although Redis responds, because a wedged consumer looks healthy from
 * outside and only a restart helps. It triggers within `silence` ms when no process sweeps, which should happen every second,
 * or when jobs wait in a queue although this process has free capacity. Long before that it restores the scheduler of the
 * sweep, which may have been deleted. Only time counts in which Redis responded and held this deployment, and in which this
 * process was running. `onSilence` is called once.
 */
export function startWatchdog(options: {
  store: LastSweep
  /** Queues with waiting jobs from which this process took none since the previous call. */
  neglected: () => Promise<readonly string[]>
  /** Restores the scheduler of the sweep. */
  restoreSweep: () => Promise<void>
  sameDeployment: () => Promise<boolean>
  silence: number
  log: Logger
  onSilence: () => void
}): () => void {
  const { store, neglected, restoreSweep, sameDeployment, silence, log, onSilence } = options
  const interval = silence / CHECKS
  // A neglected queue shows at the second check after it began, and a check may be one interval late.
  const limit = silence - 2 * interval
  let wellSince = Date.now()
  let lastCheck = wellSince
  let checking = false
  /** Neglected queues, with the time since when, ms. */
  let idleSince = new Map<string, number>()

  async function check(): Promise<void> {
    const began = Date.now()
    // A longer gap between checks: the process, or the whole machine, was suspended.
    if (began - lastCheck > 2 * interval) wellSince = began
    lastCheck = began
    const seen = await Promise.all([store.sweptAgo(), neglected(), sameDeployment()]).catch(() => undefined)
    const now = Date.now()
    const [ago, names, isOurs] = seen ?? [null, [], false]
    idleSince = new Map(names.map((name) => [name, idleSince.get(name) ?? now]))
    // An error or a late reply means that Redis is unreachable, and that the worker is not to blame.
    if (!isOurs || now - began > interval) wellSince = now
    lastCheck = now
    if (now - wellSince >= limit / 3 && (ago ?? limit) >= limit / 3) {
      log.warn({ silent_ms: ago }, 'no worker looked for due work for a while; restoring the scheduler of the sweep')
      await restoreSweep().catch((error: unknown) =>
        log.warn({ err: error }, 'could not restore the scheduler of the sweep'),
      )
    }
    if (now - wellSince < limit) return
    const queues = [...idleSince].flatMap(([name, since]) => (now - since >= limit ? [name] : []))
    if ((ago ?? limit) < limit && queues.length === 0) return
    clearInterval(timer)
    log.fatal({ silent_ms: ago, queues }, 'Redis responds, but no worker takes jobs: exiting, to be restarted')
    onSilence()
  }

  const timer = setInterval(() => {
    if (checking) return
    checking = true
    void check().finally(() => (checking = false))
  }, interval)
  timer.unref()
  return () => clearInterval(timer)
}
