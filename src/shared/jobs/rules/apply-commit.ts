import { isMoment, type Commit } from './decision.ts'
import { isHistoric } from './history.ts'
import { attemptOf, effectKey, newAttempt, type JobState } from './job.ts'

/** The record with its changes applied; relative moments become ms since 1970, from `now`. */
function applyChanges<T extends object>(record: T, changes: object, now: number): T {
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined)
  return {
    ...record,
    ...Object.fromEntries(entries.map(([field, value]) => [field, isMoment(value) ? now + value.in : value])),
  }
}

/** The account that a commit concerns: its budget, pauses and indexes. */
export const accountOf = (state: JobState, { account, attempt }: Commit): string =>
  account ?? attempt?.changes.account ?? (attempt && attemptOf(state, attempt.n)?.account) ?? state.job.account

/** The state after `commit`, as the script writes it at `now`. */
export function applyCommit(state: JobState, commit: Commit, now: number): JobState {
  const { attempt, effects } = commit
  const attempts = [...state.attempts]
  if (attempt) {
    const at = attempts.findIndex(({ n }) => n === attempt.n)
    const before = attempts[at] ?? newAttempt(attempt.n)
    attempts.splice(at === -1 ? attempts.length : at, 1, applyChanges(before, attempt.changes, now))
  }
  const job = applyChanges(state.job, commit.job, now)
  return {
    job: {
      ...job,
      rev: state.job.rev + 1,
      partial: job.phase === 'running' ? job.partial : null,
      updated_at: isHistoric(state, commit) ? now : job.updated_at,
    },
    attempts,
    effects: [...state.effects.filter((effect) => !effects.remove.includes(effectKey(effect))), ...effects.add],
  }
}
