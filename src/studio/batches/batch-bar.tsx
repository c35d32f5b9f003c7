import type { Batch } from '../../client/types.ts'
import { counted } from '../format.ts'
import { finishedIn, inProgressIn } from './batch-labels.ts'

/** Progress and results of a batch as one bar, with the same as text. */
export function BatchBar({ batch }: { batch: Batch }) {
  const { counts } = batch
  const rest = counts.total - finishedIn(batch) - inProgressIn(batch)
  const parts = [
    { name: 'succeeded', count: counts.succeeded },
    { name: 'failed', count: counts.failed },
    { name: 'canceled', count: counts.canceled },
    { name: 'in progress', count: inProgressIn(batch) },
    { name: 'waiting', count: rest },
  ].filter(({ count }) => count > 0)
  const label = parts.map(({ name, count }) => `${count} ${name}`).join(', ')
  return (
    <div className="batch-bar" role="img" aria-label={`${counted(counts.total, 'run')}: ${label}`} title={label}>
      {parts.map(({ name, count }) => (
        <span key={name} className={`batch-part batch-part-${name.replace(' ', '-')}`} style={{ flexGrow: count }} />
      ))}
    </div>
  )
}
