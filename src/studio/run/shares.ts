import type { HistoryEntry, Job } from '../../client/types.ts'
import { between } from '../format.ts'

export interface Share {
  name: string
  className: string
  ms: number
}

/**
 * Shares of a finished run's total time. `submitted_at` and `started_at` are those of the newest attempt; the time
 * between the first request and the newest one belongs to earlier attempts, not to the queue.
 */
export function sharesOf(job: Job, history: readonly Pick<HistoryEntry, 'phase' | 'at'>[]): Share[] {
  if (!job.completed_at) return []
  const firstSent = history.find(({ phase }) => phase === 'submitting')?.at ?? null
  // With several attempts, the first request is unknown until the history is loaded.
  const sent = firstSent ?? (job.attempt > 1 ? null : job.submitted_at)
  return [
    { name: 'In the queue', className: 'share-queue', ms: between(job.created_at, sent) },
    {
      name: 'Earlier attempts',
      className: 'share-earlier',
      ms: job.attempt > 1 ? between(sent, job.submitted_at) : null,
    },
    { name: 'Starting up', className: 'share-start', ms: between(job.submitted_at, job.started_at) },
    { name: 'Running and saving', className: 'share-run', ms: between(job.started_at, job.completed_at) },
  ].flatMap(({ ms, ...rest }) => (ms === null || ms <= 0 ? [] : [{ ...rest, ms }]))
}
