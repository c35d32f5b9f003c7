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

/** Whether a commit has a line: it changes the phase or an attempt, or has a note. */
export const isHistoric = ({ job, attempts }: JobState, { job: changes, attempt, note }: Commit): boolean =>
  (changes.phase ?? job.phase) !== job.phase ||
  attempt?.changes.state !== attempts.find(({ n }) => n === attempt?.n)?.state ||
  note !== undefined

/** The line of a commit; null: it has none. */
export function historyLine(state: JobState, after: JobRecord, commit: Commit, cause: Cause): HistoryLine | null {
  if (!isHistoric(state, commit)) return null
  const { job, attempts } = state
  const { attempt, note } = commit
  const from = attempts.find(({ n }) => n === attempt?.n)?.state
  const to = attempt?.changes.state
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
