import type { Batch } from '../../client/types.ts'
import { endedIn, underWayIn } from './batch-words.ts'

/** How far a batch is, and how it went, as one bar. Its words say the same. */
export function BatchBar({ batch }: { batch: Batch }) {
  const { counts } = batch
  const rest = counts.total - endedIn(batch) - underWayIn(batch)
  const parts = [
    { name: 'succeeded', count: counts.succeeded },
    { name: 'failed', count: counts.failed },
    { name: 'canceled', count: counts.canceled },
    { name: 'under way', count: underWayIn(batch) },
    { name: 'waiting', count: rest },
  ].filter(({ count }) => count > 0)
  const words = parts.map(({ name, count }) => `${count} ${name}`).join(', ')
  return (
    <div className="batch-bar" role="img" aria-label={`Of ${counts.total} runs: ${words}`} title={words}>
      {parts.map(({ name, count }) => (
        <span key={name} className={`batch-part batch-part-${name.replace(' ', '-')}`} style={{ flexGrow: count }} />
      ))}
    </div>
  )
}
