import type { Batch, BatchStatus } from '../../client/types.ts'
import { percent } from '../format.ts'
import { credits } from '../money.ts'
import type { Shape } from '../run-labels.ts'

export const BATCH_LABELS: Record<BatchStatus, { label: string; shape: Shape }> = {
  running: { label: 'Running', shape: 'running' },
  succeeded: { label: 'All succeeded', shape: 'done' },
  partial: { label: 'Some succeeded', shape: 'failed' },
  failed: { label: 'None succeeded', shape: 'failed' },
  canceled: { label: 'Canceled', shape: 'canceled' },
}

/** Title from the metadata, else the number of runs. */
export function batchTitle({ metadata, counts }: Batch): string {
  for (const name of ['title', 'name']) {
    const value = metadata[name]
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
  }
  return counts.total === 1 ? 'Batch of one run' : `Batch of ${counts.total} runs`
}

export const finishedIn = ({ counts }: Batch): number => counts.succeeded + counts.failed + counts.canceled
export const inProgressIn = ({ counts }: Batch): number => counts.starting + counts.processing

/** Reason why no further run starts. */
export function stopReason({ stopped, stop_on_failure_rate, max_spend }: Batch): string | null {
  switch (stopped) {
    case 'canceled':
      return 'The batch was canceled. Queued runs do not start.'
    case 'failure_rate':
      return `Stopped: the failure rate exceeded ${percent(stop_on_failure_rate ?? 0)}.`
    case 'max_spend':
      return `Stopped: the remaining runs could exceed the spending limit of ${credits(max_spend ?? 0)} credits.`
    case null:
      return null
    default:
      return 'The batch was stopped. Queued runs do not start.'
  }
}

export function batchCost({ cost }: Batch): string | null {
  if (!cost) return null
  const charged = `${credits(cost.captured)} credits`
  return cost.held > 0 ? `${charged}, ${credits(cost.held)} more held` : charged
}
