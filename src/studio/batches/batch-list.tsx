import { useInfiniteQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { Plus } from 'lucide-react'
import { Link } from 'wouter'
import type { Batch } from '../../client/types.ts'
import { batchPath } from '../address.ts'
import { serviceNow } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { percent, whenFull, whenShort } from '../format.ts'
import { pagesOf } from '../queries.ts'
import { useFollowAll } from '../runs.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'
import { BatchBar } from './batch-bar.tsx'
import { BATCH_LABELS, batchCost, batchTitle, finishedIn } from './batch-labels.ts'
import { OlderButton } from '../older-button.tsx'
import { Problem } from '../problem.tsx'

/** Milliseconds between requests for the counts while a batch is running. */
const REFRESH_MS = 3_000

export function BatchList() {
  const { client } = useStudio()
  const query = useInfiniteQuery({
    ...pagesOf(['batches'], client.listBatches),
    refetchInterval: ({ state: { data: read } }) => {
      const pages = read?.pages ?? []
      const running = pages.some((page) => page.data.some(({ completed_at }) => completed_at === null))
      // Rereading takes one request a page.
      return running && REFRESH_MS * pages.length
    },
  })
  const { data, error, refetch } = query
  const may = useMay('jobs:write')
  useFollowAll()
  useEffect(() => void (document.title = 'Batches · genqueue'), [])

  return (
    <main className="page">
      <div className="page-head">
        <h1>Batches</h1>
        {may && (
          <Link className="button primary" href="/batches/new">
            <Plus />
            New batch
          </Link>
        )}
      </div>
      <Problem text={error && errorText(error)} onRetry={data ? undefined : () => void refetch()} />
      {data?.length === 0 && <NoBatches may={may} />}
      <ul className="batch-list">
        {data?.map((batch) => (
          <li key={batch.id}>
            <BatchCard batch={batch} />
          </li>
        ))}
      </ul>
      <OlderButton of={query} text="Older batches" />
    </main>
  )
}

function BatchCard({ batch }: { batch: Batch }) {
  const { label, shape } = BATCH_LABELS[batch.status]
  const cost = batchCost(batch)
  return (
    <article className={`batch-card batch-${batch.status}`}>
      <div className="batch-card-head">
        <Link href={batchPath(batch.id)} className="batch-link">
          <bdi>{batchTitle(batch)}</bdi>
        </Link>
        <time dateTime={batch.created_at} title={whenFull(batch.created_at)} className="muted">
          {whenShort(batch.created_at, serviceNow())}
        </time>
      </div>
      <BatchBar batch={batch} />
      <p className="batch-card-foot">
        <span className="batch-status">
          <StatusIcon shape={shape} size={14} />
          {label}
        </span>
        <span className="tabular">
          {finishedIn(batch)} of {batch.counts.total}
        </span>
        {batch.success_rate !== null && <span className="tabular">{percent(batch.success_rate)} successful</span>}
        {cost && <span className="muted tabular">{cost}</span>}
      </p>
    </article>
  )
}

function NoBatches({ may }: { may: boolean }) {
  return (
    <div className="first-visit">
      <h2>No batch yet</h2>
      <p className="muted">
        A batch groups runs that belong together, such as the pages of a book. Its runs are accepted all or none and
        counted together.
      </p>
      {may && (
        <p className="first-visit-actions">
          <Link className="button primary" href="/batches/new">
            <Plus />
            New batch
          </Link>
        </p>
      )}
    </div>
  )
}
