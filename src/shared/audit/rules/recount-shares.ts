import type { JobState, Priority } from '../../jobs/rules/job.ts'
import { placeOf } from '../../jobs/rules/place.ts'

/** What the jobs of a tenant in a class have had of the creates, recounted from their records. */
export interface Share {
  tenant: string
  priority: Priority
  /** Jobs of which a create was sent. */
  begun: number
  /** Jobs that have not begun, and have not ended. */
  waiting: number
  /** Credits, those of the holds of the jobs that have begun. */
  cost: number
  /** Longest time from when a job was ready until its first create, or until now, ms. It contains pauses and waits for limits. */
  worst_wait: number
}

/** Collects the shares of tenants from the records of their jobs. */
export function createShareCount() {
  const shares = new Map<string, Share>()
  return {
    add({ job, attempts }: Pick<JobState, 'job' | 'attempts'>, now: number): void {
      const [first] = attempts
      const isOver = job.completed_at !== null
      if (first === undefined && isOver) return
      const { tenant, priority, ready, cost } = placeOf({ ...job, phase: 'queued' })
      const key = `${tenant} ${priority}`
      const share = shares.get(key) ?? { tenant, priority, begun: 0, waiting: 0, cost: 0, worst_wait: 0 }
      share.begun += first === undefined ? 0 : 1
      share.waiting += first === undefined ? 1 : 0
      share.cost += first === undefined ? 0 : (cost ?? 0)
      share.worst_wait = Math.max(share.worst_wait, (first?.intended_at ?? now) - ready)
      shares.set(key, share)
    },
    all: (): Share[] =>
      [...shares.values()].sort((a, b) => `${a.tenant} ${a.priority}`.localeCompare(`${b.tenant} ${b.priority}`)),
  }
}
