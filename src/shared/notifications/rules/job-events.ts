import type { JobRecord, Status } from '../../jobs/rules/job.ts'

type JobEventType = 'job.started' | EndType
type EndType = 'job.succeeded' | 'job.failed' | 'job.canceled'

const END_OF: Partial<Record<Status, EndType>> = {
  succeeded: 'job.succeeded',
  failed: 'job.failed',
  canceled: 'job.canceled',
}

/**
 * The events that a job shows of itself: its start, also when nobody saw it run before its end, and its end. A change of the job is
 * the events that it shows afterwards and did not show before: each happens once, and the start never after the end.
 */
export function jobEventsOf({ status, started_at }: Pick<JobRecord, 'status' | 'started_at'>): JobEventType[] {
  const end = END_OF[status]
  const hasStarted = status === 'processing' || status === 'succeeded' || (end !== undefined && started_at !== null)
  return [...(hasStarted ? (['job.started'] as const) : []), ...(end === undefined ? [] : [end])]
}
