import { useDeferredValue, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { Plus } from 'lucide-react'
import { Link } from 'wouter'
import type { Job, JobStatus } from '../../client/types.ts'
import { useAddress } from '../address.ts'
import { useCatalogue } from '../catalogue.ts'
import { errorText } from '../error-text.ts'
import { sourceOf, titleOf } from '../format.ts'
import { filterKey } from '../run-store.ts'
import { useFollowAll, useSheet } from '../runs.ts'
import { samplesOf, type Sample } from '../samples.ts'
import { Problem } from '../problem.tsx'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'
import { useSubmit } from '../submit.ts'
import { Filters } from './filters.tsx'
import { TileGrid } from './tile-grid.tsx'

/** Scroll position and tile of each sheet, by its filter: returning restores both. */
const left = new Map<string, { scroll: number; runId: string | null }>()

export function ContactSheet() {
  const { runs } = useStudio()
  const address = useAddress()
  const sheet = useSheet()

  const { status, ofPreset: preset, ofBatch: batch } = address
  useEffect(() => runs.show({ status, preset, batch }), [runs, status, preset, batch])
  const may = useMay('jobs:write')
  useFollowAll()
  useEffect(() => void (document.title = 'genqueue'), [])

  const search = useDeferredValue(address.search.trim().toLowerCase())
  const ids = search ? sheet.ids.filter((id) => matches(runs.job(id), search)) : sheet.ids
  const empty = sheet.state === 'ready' && sheet.ids.length === 0 && sheet.cursor === null
  const unfiltered = status === null && preset === null && batch === null

  useKeptPlace(filterKey(sheet.filter), sheet.state === 'ready')
  useSheetKeys()

  return (
    <section className="sheet" aria-labelledby="sheet-title">
      <div className="sheet-head">
        <h1 id="sheet-title">Runs</h1>
        <Filters />
      </div>
      {sheet.state === 'loading' && <SheetSkeleton />}
      {sheet.state === 'failed' && (
        <div className="notice">
          <p>The runs cannot be read. {sheet.problem}</p>
          <button type="button" className="button" onClick={() => void runs.refresh()}>
            Try again
          </button>
        </div>
      )}
      {empty && (unfiltered ? <FirstVisit /> : <NoneFound status={status} />)}
      {search && !empty && sheet.state === 'ready' && (
        <p className="muted sheet-found" role="status">
          {ids.length} of the {sheet.ids.length} loaded runs
        </p>
      )}
      <TileGrid ids={ids} label="Runs, newest first" />
      <MoreOnScroll />
      {may && (
        <div className="new-run-bar">
          <Link className="button primary wide" href="/new">
            <Plus />
            New run
          </Link>
        </div>
      )}
    </section>
  )
}

function matches(job: Job | undefined, search: string): boolean {
  if (!job) return false
  return `${titleOf(job)} ${sourceOf(job)} ${job.id} ${job.prediction_id ?? ''}`.toLowerCase().includes(search)
}

function FirstVisit() {
  const { client } = useStudio()
  const may = useMay('jobs:write')
  const { submit, sending, refusal } = useSubmit()
  const catalogue = useCatalogue()
  const [busy, setBusy] = useState<Sample | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const run = async (sample: Sample) => {
    setBusy(sample)
    setProblem(null)
    try {
      await submit({ ...sample.recipe.target, input: await sample.input(client) })
    } catch (error) {
      setProblem(errorText(error))
    }
    setBusy(null)
  }
  return (
    <div className="first-visit">
      <h2>Nothing has run yet</h2>
      <p className="muted">
        {may
          ? 'Write a prompt, or start with one of these samples. The run appears here.'
          : 'Runs appear here as soon as they are submitted.'}
      </p>
      <ul className="samples">
        {(may ? samplesOf(catalogue) : []).map((sample) => (
          <li key={sample.kind + sample.text}>
            <button
              type="button"
              className="sample"
              disabled={sending || busy !== null}
              onClick={() => void run(sample)}
            >
              <span className="sample-kind">{sample.kind}</span>
              <span className="sample-text">“{sample.text}”</span>
              <span className="sample-foot">
                <span className="muted">{sample.recipe.title}</span>
                <span className="sample-go">{busy === sample ? 'Sending…' : 'Run'}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      <Problem text={problem ?? refusal?.message} />
    </div>
  )
}

function NoneFound({ status }: { status: JobStatus | null }) {
  const ended = status === 'succeeded' || status === 'failed' || status === 'canceled'
  const headline = status === null ? 'No matching runs' : status === 'failed' ? 'No failed runs' : `No ${status} runs`
  return (
    <div className="first-visit">
      <h2>{headline}</h2>
      <p className="muted">
        {status !== null &&
          (ended ? 'Runs with this outcome appear here. ' : 'Runs appear here while they have this status. ')}
        <Link href="/">All runs</Link>
      </p>
    </div>
  )
}

function SheetSkeleton() {
  return (
    <div className="tiles-skeleton" aria-hidden="true">
      {Array.from({ length: 8 }, (_, at) => (
        <div key={at} className="tile skeleton">
          <div className="frame" />
          <div className="skeleton-line" />
        </div>
      ))}
    </div>
  )
}

/** Loads the next page before the user reaches the end. */
function MoreOnScroll() {
  const { runs } = useStudio()
  const { cursor, loadingMore, problem, ids } = useSheet()
  const end = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!end.current || cursor === null || problem) return undefined
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) void runs.more()
      },
      { rootMargin: '1200px' },
    )
    observer.observe(end.current)
    return () => observer.disconnect()
  }, [runs, cursor, problem])
  return (
    <div ref={end} className="sheet-end">
      {problem && ids.length > 0 && (
        <button type="button" className="button" onClick={() => void runs.more()}>
          Load older runs
        </button>
      )}
      {loadingMore && <span className="muted">Loading older runs…</span>}
    </div>
  )
}

function useKeptPlace(key: string, ready: boolean): void {
  const restored = useRef<string | null>(null)
  useLayoutEffect(() => {
    if (!ready || restored.current === key) return
    restored.current = key
    const place = left.get(key)
    scrollTo(0, place?.scroll ?? 0)
    const tile = place?.runId ? document.getElementById(place.runId) : null
    tile?.focus({ preventScroll: true })
    tile?.scrollIntoView({ block: 'nearest' })
  }, [ready, key])
  useLayoutEffect(() => {
    // Recorded while the sheet is mounted: at unmount the page has already scrolled.
    const keep = () => {
      const runId = document.activeElement?.id.startsWith('job_') ? document.activeElement.id : null
      left.set(key, { scroll: scrollY, runId })
    }
    addEventListener('scrollend', keep)
    addEventListener('focusin', keep)
    return () => {
      removeEventListener('scrollend', keep)
      removeEventListener('focusin', keep)
    }
  }, [key])
}

/** `/` focuses the search, Esc leaves a field. */
function useSheetKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return
      const typing = event.target instanceof HTMLElement && event.target.matches('input, textarea, select')
      if (event.key === 'Escape' && typing) event.target.blur()
      if (event.key !== '/' || typing) return
      event.preventDefault()
      document.getElementById('search')?.focus()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
}
