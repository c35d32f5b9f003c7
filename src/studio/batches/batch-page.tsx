import { useEffect, useSyncExternalStore } from 'react'
import { Download, RotateCw, Square } from 'lucide-react'
import { Link } from 'wouter'
import type { Batch, JobStatus } from '../../client/types.ts'
import { batchPath, go, leave, STATUSES, useAddress, withQuery } from '../address.ts'
import { BackBar } from '../back-bar.tsx'
import { ConfirmButton } from '../confirm-button.tsx'
import { CopyButton } from '../copy-button.tsx'
import { Figure, Figures } from '../figures.tsx'
import { between, counted, duration, humanize, percent, whenFull, whenToTheMinute } from '../format.ts'
import { credits } from '../money.ts'
import { Problem } from '../problem.tsx'
import { RefusalNote } from '../refusal-note.tsx'
import { useFollowAll } from '../runs.ts'
import { TileGrid } from '../sheet/tile-grid.tsx'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { useSend } from '../submit.ts'
import { Ticking, Until } from '../ticking.tsx'
import { useMay } from '../who.ts'
import { BatchBar } from './batch-bar.tsx'
import { BATCH_LABELS, batchTitle, finishedIn, stopReason, inProgressIn } from './batch-labels.ts'
import { useBatch, usePutBatch } from './use-batch.ts'

export function BatchPage({ id }: { id: string }) {
  const { batch, ids, problem } = useBatch(id)
  useFollowAll()
  useLeaveByEscape()
  useEffect(() => {
    document.title = batch
      ? `${finishedIn(batch)} of ${batch.counts.total} · ${batchTitle(batch).slice(0, 60)}`
      : 'Batch · genqueue'
  }, [batch])

  if (!batch) {
    return (
      <main className="notice">
        {problem ? (
          <>
            <h1>Could not load this batch</h1>
            <p>{problem}</p>
            <p>
              <Link href="/batches">All batches</Link>
            </p>
          </>
        ) : (
          <p className="muted">Loading the batch…</p>
        )}
      </main>
    )
  }
  return (
    <main className="page">
      <BackBar to="/batches" name="Batches" />
      <header className="run-head">
        <h1 dir="auto">{batchTitle(batch)}</h1>
        <p className="run-sub muted">
          <time dateTime={batch.created_at} title={whenFull(batch.created_at)}>
            {whenToTheMinute(batch.created_at)}
          </time>
          {batch.sequential && <span>sequential</span>}
          {batch.retry_of && <Link href={batchPath(batch.retry_of)}>Retry of an earlier batch</Link>}
          <span className="run-id">
            <code>{batch.id}</code>
            <CopyButton text={batch.id} what="batch id" />
          </span>
        </p>
      </header>
      <Overview batch={batch} />
      <Chips batch={batch} />
      <Problem text={problem} />
      <Grid batch={batch} ids={ids} problem={problem} />
    </main>
  )
}

function useLeaveByEscape(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return
      leave('/batches')
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
}

/** Progress, results, cost and actions. */
function Overview({ batch }: { batch: Batch }) {
  const { label, shape } = BATCH_LABELS[batch.status]
  const { counts, cost } = batch
  const stopped = stopReason(batch)
  const took = between(batch.created_at, batch.completed_at)
  return (
    <section className="card batch-overview" aria-label="Progress">
      <div className="status-line">
        <StatusIcon shape={shape} size={20} />
        <h2 aria-live="polite">{label}</h2>
        <span className="elapsed big">{took === null ? <Ticking since={batch.created_at} /> : duration(took)}</span>
      </div>
      <BatchBar batch={batch} />
      <Figures>
        <Figure name="Done" value={`${finishedIn(batch)} of ${counts.total}`} note={percent(batch.progress)} />
        <Figure
          name="Success rate"
          value={batch.success_rate === null ? '–' : percent(batch.success_rate)}
          note={counts.failed > 0 ? `${counts.failed} failed` : null}
        />
        {batch.completed_at === null && (
          <Figure
            name="In progress"
            value={String(inProgressIn(batch))}
            note={counts.queued > 0 ? `${counts.queued} waiting` : null}
          />
        )}
        {batch.estimated_end_at && <Figure name="Expected completion" value={<Until at={batch.estimated_end_at} />} />}
        {cost && (
          <Figure
            name="Cost"
            value={`${credits(cost.captured)} credits`}
            note={cost.held > 0 ? `${credits(cost.held)} more held` : null}
          />
        )}
      </Figures>
      {stopped && <p className="status-strong">{stopped}</p>}
      <Actions batch={batch} />
    </section>
  )
}

function Actions({ batch }: { batch: Batch }) {
  const { counts } = batch
  const may = useMay('jobs:write')
  const open = counts.total - finishedIn(batch)
  const missed = counts.failed + counts.canceled
  return (
    <div className="actions">
      <div className="buttons">
        {may && open > 0 && batch.stopped !== 'canceled' && <Cancel batch={batch} open={open} />}
        {may && batch.completed_at !== null && missed > 0 && <RetryFailed batch={batch} missed={missed} />}
        <a className="button" href={`/v1/batches/${batch.id}/manifest`} download={`${batch.id}.jsonl`}>
          <Download />
          Manifest
        </a>
      </div>
    </div>
  )
}

function Cancel({ batch, open }: { batch: Batch; open: number }) {
  const { client } = useStudio()
  const put = usePutBatch()
  const runs = counted(open, 'run')
  return (
    <ConfirmButton
      icon={<Square />}
      label="Cancel the rest"
      busy="Canceling…"
      question={`Cancel ${runs}? Queued runs cost nothing. Runs already at Replicate are stopped, and billed for the time used.`}
      yes={`Cancel ${runs}`}
      no="Keep running"
      act={async () => put(await client.cancelBatch(batch.id))}
    />
  )
}

function RetryFailed({ batch, missed }: { batch: Batch; missed: number }) {
  const { client } = useStudio()
  const { send, sending, refusal } = useSend()
  const retry = async () => {
    const next = await send(batch.id, (idempotencyKey) => client.retryBatch(batch.id, { idempotencyKey }))
    if (next) go(batchPath(next.id))
  }
  return (
    <>
      <button type="button" className="button primary" disabled={sending} onClick={() => void retry()}>
        <RotateCw />
        {sending ? 'Sending…' : `Retry ${counted(missed, 'run')}`}
      </button>
      {refusal && <RefusalNote refusal={refusal} />}
    </>
  )
}

function Chips({ batch }: { batch: Batch }) {
  const { status } = useAddress()
  const shown = STATUSES.filter((each) => batch.counts[each] > 0 || each === status)
  return (
    <nav className="filters batch-chips" aria-label="Filter by status">
      {[null, ...shown].map((each) => (
        <Link
          key={each ?? 'all'}
          href={withQuery({ status: each })}
          className="filter"
          aria-current={each === status ? 'page' : undefined}
        >
          {each === null ? 'All' : humanize(each)}{' '}
          <span className="tabular">{each === null ? batch.counts.total : batch.counts[each]}</span>
        </Link>
      ))}
    </nav>
  )
}

function Grid({ batch, ids, problem }: { batch: Batch; ids: readonly string[]; problem: string | null }) {
  const { status } = useAddress()
  const shown = useOfStatus(ids, status)
  const missing = status === null ? batch.counts.total - ids.length : 0
  return (
    <section aria-label="Runs of the batch">
      <TileGrid ids={shown} label="Runs of the batch, in order" small />
      {missing > 0 && problem === null && <p className="muted sheet-end">Loading {missing} more…</p>}
      {status !== null && shown.length === 0 && <p className="muted sheet-end">No run of this batch is {status}.</p>}
    </section>
  )
}

/** The runs with a status, updated live. */
function useOfStatus(ids: readonly string[], status: JobStatus | null): readonly string[] {
  const { runs } = useStudio()
  const snapshot = useSyncExternalStore(runs.onAny, () =>
    status === null ? '' : ids.filter((id) => runs.job(id)?.status === status).join(' '),
  )
  if (status === null) return ids
  return snapshot === '' ? [] : snapshot.split(' ')
}
