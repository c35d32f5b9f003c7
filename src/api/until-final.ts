import type { EventHub } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobReader } from '../shared/jobs/ports.ts'

/** Interval of re-reads, ms. A change wakes a waiting request; re-reads cover a failed reader of events. */
const LOOK_MS = 5_000

/**
 * Returns the job when it is final, or its current state after the time or when the client has disconnected; null when
 * there is no such job.
 */
export function createUntilFinal({ store, hub }: { store: JobReader; hub: Pick<EventHub, 'onJob'> }) {
  return async (id: string, seconds: number, gone: AbortSignal): Promise<JobRecord | null> => {
    let wake = (): void => undefined
    const stop = hub.onJob(id, () => wake())
    const left = (): void => wake()
    gone.addEventListener('abort', left)
    const deadline = Date.now() + seconds * 1000
    try {
      for (;;) {
        const changed = new Promise<void>((resolve) => {
          wake = resolve
        })
        const job = await store.read(id)
        const time = deadline - Date.now()
        if (job === null || isFinal(job.phase) || time <= 0 || gone.aborted) return job
        const timer = setTimeout(wake, Math.min(time, LOOK_MS))
        await changed
        clearTimeout(timer)
      }
    } finally {
      gone.removeEventListener('abort', left)
      stop()
    }
  }
}

export type UntilFinal = ReturnType<typeof createUntilFinal>
