import type { JobStore } from '../shared/jobs/ports.ts'
import type { Logger } from '../shared/logger.ts'

const LOOKS = 6

/**
 * Ends a worker that stopped consuming although Redis answers: a wedged consumer looks healthy from outside and is only
 * cured by a new process. Sweeps run every second, in whichever process; without one for `silence` ms no worker takes
 * jobs any more. And a queue in which jobs wait for so long beside free hands of this process is not served by it. Only
 * time in which Redis answered, and in which this process was running, counts. `onSilence` is called once.
 */
export function startWatchdog(options: {
  store: Pick<JobStore, 'sweptAgo'>
  /** Queues that were left alone since it was asked before. */
  neglected: () => Promise<readonly string[]>
  silence: number
  log: Logger
  onSilence: () => void
}): () => void {
  const { store, neglected, silence, log, onSilence } = options
  const interval = silence / LOOKS
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
    const seen = await Promise.all([store.sweptAgo(), neglected()]).catch(() => undefined)
    const now = Date.now()
    const [ago, names] = seen ?? [null, []]
    alone = new Map(names.map((name) => [name, alone.get(name) ?? now]))
    // Redis that is away answers with an error, or late: then it is not the worker that is silent.
    if (seen === undefined || now - began > interval) wellSince = now
    lastLook = now
    if (now - wellSince < silence) return
    const queues = [...alone].flatMap(([name, since]) => (now - since >= silence ? [name] : []))
    if ((ago ?? silence) < silence && queues.length === 0) return
    clearInterval(timer)
    log.fatal({ silent_ms: ago, queues }, 'Redis answers, but no worker takes jobs: ending, to be started anew')
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
