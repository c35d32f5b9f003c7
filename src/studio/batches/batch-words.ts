import type { Batch, BatchStatus } from '../../client/types.ts'
import { credits } from '../money.ts'
import type { Shape } from '../run-words.ts'

export const BATCH_WORDS: Record<BatchStatus, { word: string; shape: Shape }> = {
  running: { word: 'Running', shape: 'running' },
  succeeded: { word: 'All succeeded', shape: 'done' },
  partial: { word: 'Some succeeded', shape: 'failed' },
  failed: { word: 'None succeeded', shape: 'failed' },
  canceled: { word: 'Canceled', shape: 'canceled' },
}

/** What a person would call it. */
export function batchTitle({ metadata, counts }: Batch): string {
  for (const name of ['title', 'name']) {
    const value = metadata[name]
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
  }
  return counts.total === 1 ? 'A batch of one run' : `A batch of ${counts.total} runs`
}

export const endedIn = ({ counts }: Batch): number => counts.succeeded + counts.failed + counts.canceled
export const underWayIn = ({ counts }: Batch): number => counts.starting + counts.processing

/** Why no further run begins. */
export function stopWords({ stopped, stop_on_failure_rate, max_spend }: Batch): string | null {
  switch (stopped) {
    case 'canceled':
      return 'It was canceled: what had not begun does not begin.'
    case 'failure_rate':
      return `It stopped because too many runs failed; the limit was ${percent(stop_on_failure_rate ?? 0)}.`
    case 'max_spend':
      return `It stopped because the rest could cost more than the ${credits(max_spend ?? 0)} credits that it may spend.`
    case null:
      return null
    default:
      return 'It was stopped: what had not begun does not begin.'
  }
}

export function percent(share: number): string {
  return `${(share * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`
}

export function batchCost({ cost }: Batch): string | null {
  if (!cost) return null
  const taken = `${credits(cost.captured)} credits`
  return cost.held > 0 ? `${taken}, ${credits(cost.held)} more held` : taken
}
