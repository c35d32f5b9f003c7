import type { HistoryEntry, JobPhase } from '../../client/types.ts'

export interface Step {
  name: string
  /** Source of the event, and further notes. */
  note: string | null
  at: string
  shape: 'plain' | 'bad'
}

const ARRIVED: Record<JobPhase, string> = {
  queued: 'Back in the queue',
  submitting: 'Sent to Replicate',
  unknown: 'Outcome unknown',
  created: 'Accepted by Replicate',
  running: 'Started',
  resubmitting: 'To be retried',
  stopping: 'Cancellation requested',
  storing: 'Finished, saving files',
  succeeded: 'Succeeded',
  failed: 'Failed',
  canceled: 'Canceled',
}

/** Shown causes: how the event was detected. */
const CAUSES: Record<string, string> = {
  webhook: 'by webhook',
  poll: 'by polling',
  list: 'by listing',
  sweep: 'by the sweep',
}

const NOTES: Record<string, string> = {
  rate_limited: 'rate limited by Replicate',
  not_created: 'proved that no prediction exists',
  orphan: 'orphan prediction canceled',
  late: 'late prediction canceled',
  recovered: 'recovered after a restart',
}

/** The history as timeline entries, without uninformative ones. */
export function stepsOf(history: readonly HistoryEntry[]): Step[] {
  return history.flatMap((entry, at): Step[] => {
    const before = history[at - 1]
    const again = before !== undefined && before.phase === entry.phase
    if (again && !entry.note && entry.attempt === before.attempt) return []
    const name = at === 0 && entry.phase === 'queued' ? 'Accepted' : (ARRIVED[entry.phase] ?? entry.phase)
    const sent = entry.phase === 'submitting' || (entry.phase === 'resubmitting' && entry.attempt_state === 'intended')
    const notes = [
      entry.attempt > 1 && sent ? `attempt ${entry.attempt}` : null,
      CAUSES[entry.cause] ?? null,
      entry.note
        ? (NOTES[entry.note] ?? entry.note.replaceAll('_', ' ').replace(/^refused (?=\d)/, 'refused with '))
        : null,
    ].filter((each) => each !== null)
    return [
      {
        name: sent ? ARRIVED.submitting : name,
        note: notes.length > 0 ? notes.join(', ') : null,
        at: entry.at,
        shape: entry.phase === 'failed' || entry.phase === 'unknown' ? 'bad' : 'plain',
      },
    ]
  })
}

/** Remaining steps of an unfinished run. */
export function stepsAhead(phase: JobPhase): string[] {
  switch (phase) {
    case 'queued':
      return ['Sent to Replicate', 'Started', 'Done']
    case 'submitting':
    case 'unknown':
    case 'created':
    case 'resubmitting':
      return ['Started', 'Done']
    case 'running':
    case 'storing':
      return ['Done']
    default:
      return []
  }
}
