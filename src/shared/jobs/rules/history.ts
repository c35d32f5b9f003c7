import type { Commit } from './decision.ts'
import type { AttemptState, Cause, JobRecord, JobState, Phase, Status } from './job.ts'

/** One line of a job's history: the state after a commit. */
export interface HistoryLine {
  phase: Phase
  status: Status
  cause: Cause
  attempt: number
  /** The attempt's prediction; null while unknown. */
  prediction: string | null
  /** Present when it changed. */
  attempt_state?: AttemptState
  note?: string
  /** code */
  error?: string
}

/** The line of a commit; null when the commit changes neither the phase nor an attempt, and has no note. */
export function historyLine(
  { job, attempts }: JobState,
  after: JobRecord,
  commit: Commit,
  cause: Cause,
): HistoryLine | null {
  const { attempt, note } = commit
  const from = attempts.find(({ n }) => n === attempt?.n)?.state
  const to = attempt?.changes.state
  if (after.phase === job.phase && to === from && note === undefined) return null
  return {
    phase: after.phase,
    status: after.status,
    cause,
    attempt: attempt?.n ?? after.attempt,
    prediction: attempt?.changes.prediction_id ?? after.prediction_id,
    ...(to === undefined || to === from ? {} : { attempt_state: to }),
    ...(note === undefined ? {} : { note }),
    ...(after.error && after.error !== job.error ? { error: after.error.code } : {}),
  }
}
