import type { HistoryEntry, JobPhase } from '../../client/types.ts'

export interface Step {
  name: string
  /** Who told it, or what else is to be said of it. */
  note: string | null
  at: string
  shape: 'plain' | 'bad'
}

const ARRIVED: Record<JobPhase, string> = {
  queued: 'Back in the queue',
  submitting: 'Sent to Replicate',
  unknown: 'Not known whether it arrived',
  created: 'Accepted by Replicate',
  running: 'Started',
  resubmitting: 'To be made anew',
  stopping: 'Asked to stop',
  storing: 'Finished, files being saved',
  succeeded: 'Succeeded',
  failed: 'Failed',
  canceled: 'Canceled',
}

/** Causes that are worth a word: how the news came from Replicate. */
const TOLD: Record<string, string> = {
  webhook: 'by webhook',
  poll: 'by asking',
  list: 'from the list',
  sweep: 'by the clock',
}

const NOTES: Record<string, string> = {
  rate_limited: 'Replicate asked for a pause',
  not_created: 'surely nothing was created',
  orphan: 'a prediction nobody wanted, stopped',
  late: 'a late prediction, stopped',
  recovered: 'found again after a restart',
}

/** What happened, as lines of a timeline. Lines that tell nothing to a reader are left out. */
export function stepsOf(history: readonly HistoryEntry[]): Step[] {
  return history.flatMap((entry, at): Step[] => {
    const before = history[at - 1]
    const again = before !== undefined && before.phase === entry.phase
    if (again && !entry.note && entry.attempt === before.attempt) return []
    const name = at === 0 && entry.phase === 'queued' ? 'Accepted' : (ARRIVED[entry.phase] ?? entry.phase)
    const sent = entry.phase === 'submitting' || (entry.phase === 'resubmitting' && entry.attempt_state === 'intended')
    const notes = [
      entry.attempt > 1 && sent ? `attempt ${entry.attempt}` : null,
      TOLD[entry.cause] ?? null,
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

/** What is still to come, for a run that is under way. */
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
