import { isFinal, type Client, type ListOptions, type StreamState } from '../client/client.ts'
import type { Artifact, Job, JobStatus } from '../client/types.ts'
import { errorText } from './error-text.ts'

const PAGE = 60
/** Signed URLs are valid for an hour. A URL younger than this is kept, so pictures are not reloaded. */
const ADDRESS_KEPT_MS = 45 * 60_000

/** Limit of remembered runs beside those in the list. */
const SPARE_JOBS = 500
/** Limit of runs in the list, from events and scrolling. */
const MOST_LISTED = 3_000

/** Longest wait of a list for its stream. */
const PATIENCE_MS = 3_000

/** Filter of a sheet; null: any. */
export interface SheetFilter {
  status: JobStatus | null
  preset: string | null
  batch: string | null
}

/** The contact sheet: its runs, newest first, and its loading state. */
export interface Sheet {
  filter: SheetFilter
  ids: readonly string[]
  state: 'loading' | 'ready' | 'failed'
  cursor: string | null
  loadingMore: boolean
  problem: string | null
}

export type Runs = ReturnType<typeof createRuns>

/**
 * The page's state of the runs: one map of jobs, fed by every response and event, and one list over it. Listeners are
 * per job, so an event renders one tile and not ten thousand.
 */
export function createRuns(client: Client) {
  const jobs = new Map<string, Job>()
  const addresses = new Map<string, Pick<Artifact, 'url' | 'thumbnail_url'> & { at: number }>()
  const byJob = new Map<string, Set<() => void>>()
  const bySheet = new Set<() => void>()
  const byConnection = new Set<() => void>()
  const byAny = new Set<() => void>()
  const byOpening = new Set<() => void>()
  let connection: StreamState = 'connecting'
  let sheet: Sheet = emptySheet({ status: null, preset: null, batch: null })
  let shown = false
  /** State of the stream of all jobs. */
  let following = false
  let patience: ReturnType<typeof setTimeout> | undefined

  function setSheet(change: Partial<Sheet>): void {
    sheet = { ...sheet, ...change }
    for (const listener of bySheet) listener()
  }

  function setConnection(state: StreamState): void {
    // A page change replaces the stream; that is not a change of state.
    if (connection === state || state === 'connecting') return
    connection = state
    for (const listener of byConnection) listener()
  }

  function keepAddress(artifact: Artifact): Artifact {
    const kept = addresses.get(artifact.id)
    const { url, thumbnail_url } = artifact
    if (kept && Date.now() - kept.at < ADDRESS_KEPT_MS && (kept.thumbnail_url === null) === (thumbnail_url === null))
      return { ...artifact, url: kept.url, thumbnail_url: kept.thumbnail_url }
    addresses.set(artifact.id, { url, thumbnail_url, at: Date.now() })
    return artifact
  }

  /** Evicts runs that no list shows and no listener follows: a page may stay open for months. */
  function shed(): void {
    if (jobs.size <= sheet.ids.length + SPARE_JOBS) return
    const listed = new Set(sheet.ids)
    for (const [id, job] of jobs) {
      if (listed.has(id) || byJob.has(id)) continue
      jobs.delete(id)
      for (const { id: artifact } of job.artifacts) addresses.delete(artifact)
    }
  }

  /** False for outdated data. Progress events have no revision. */
  function remember(job: Job): boolean {
    const known = jobs.get(job.id)
    if (known && known.rev > job.rev) return false
    if (known && known.rev === job.rev && (known.progress ?? 0) > (job.progress ?? 0)) return false
    // Only the read of one run has a long input whole.
    const isKnown = known?.input_truncated === false && job.input_truncated
    const input = isKnown ? { input: known.input, input_truncated: false } : {}
    jobs.set(job.id, { ...job, ...input, artifacts: job.artifacts.map(keepAddress) })
    for (const listener of byJob.get(job.id) ?? []) listener()
    for (const listener of byAny) listener()
    return true
  }

  function forget(id: string): void {
    jobs.delete(id)
    if (sheet.ids.includes(id)) setSheet({ ids: sheet.ids.filter((each) => each !== id) })
  }

  function place(job: Job): void {
    if (sheet.state !== 'ready') return
    const at = sheet.ids.indexOf(job.id)
    const { status, preset, batch } = sheet.filter
    const belongs =
      (status ?? job.status) === job.status &&
      (preset ?? job.preset) === job.preset &&
      (batch ?? job.batch) === job.batch
    if (at !== -1) {
      if (!belongs) setSheet({ ids: sheet.ids.filter((id) => id !== job.id) })
      return
    }
    if (!belongs) return
    const before = sheet.ids.findIndex((id) => {
      const other = jobs.get(id)
      return other !== undefined && newerThan(job, other)
    })
    // Older than all loaded runs: arrives with its page.
    if (before === -1 && sheet.cursor !== null) return
    const ids = [...sheet.ids]
    ids.splice(before === -1 ? ids.length : before, 0, job.id)
    // Runs beyond the limit can be loaded again as pages.
    if (ids.length > MOST_LISTED)
      setSheet({ ids: ids.slice(0, MOST_LISTED - PAGE), cursor: ids[MOST_LISTED - PAGE - 1] ?? null })
    else setSheet({ ids })
  }

  function accept(job: Job): void {
    if (!remember(job)) return
    place(job)
    shed()
  }

  async function loadFirst(): Promise<void> {
    const { filter } = sheet
    try {
      const page = await client.list({ limit: PAGE, ...queryOf(filter) })
      if (sheet.filter !== filter) return
      for (const job of page.data) remember(job)
      const ids = page.data.map((job) => job.id)
      const last = ids.at(-1)
      const seam = last === undefined ? -1 : sheet.ids.indexOf(last)
      // Keeps the loaded pages if the new first page overlaps them; otherwise there is a gap, so starts over.
      if (sheet.state === 'ready' && seam !== -1) {
        setSheet({ ids: [...ids, ...sheet.ids.slice(seam + 1)], problem: null })
        await readAnew(sheet.ids.slice(ids.length))
      } else {
        setSheet({ ids, cursor: page.next_cursor, state: 'ready', problem: null })
      }
    } catch (error) {
      if (sheet.filter !== filter) return
      if (sheet.state !== 'ready') setSheet({ state: 'failed', problem: errorText(error) })
    }
  }

  /** Rereads runs outside the first page that were not final when the connection dropped. */
  async function readAnew(ids: readonly string[]): Promise<void> {
    const open = ids.filter((id) => {
      const job = jobs.get(id)
      return job !== undefined && !isFinal(job)
    })
    for (const id of open.slice(0, 50)) {
      try {
        accept(await client.get(id))
      } catch {
        return
      }
    }
  }

  return {
    job: (id: string): Job | undefined => jobs.get(id),
    all: (): Iterable<Job> => jobs.values(),
    sheet: (): Sheet => sheet,
    connection: (): StreamState => connection,
    accept,
    forget,

    onJob: (id: string, listener: () => void): (() => void) => {
      const listeners = byJob.get(id) ?? new Set()
      byJob.set(id, listeners)
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) byJob.delete(id)
      }
    },
    /** Subscribes to changes of any run. */
    onAny: (listener: () => void): (() => void) => {
      byAny.add(listener)
      return () => void byAny.delete(listener)
    },
    onSheet: (listener: () => void): (() => void) => {
      bySheet.add(listener)
      return () => void bySheet.delete(listener)
    },
    onConnection: (listener: () => void): (() => void) => {
      byConnection.add(listener)
      return () => void byConnection.delete(listener)
    },

    /** Called each time the stream of all jobs opens, to read what was missed. */
    onOpening: (listener: () => void): (() => void) => {
      byOpening.add(listener)
      return () => void byOpening.delete(listener)
    },

    /** Shows the sheet with this filter. Loaded runs stay and are refreshed. */
    show: (filter: SheetFilter): void => {
      if (!shown || filterKey(sheet.filter) !== filterKey(filter)) setSheet(emptySheet(filter))
      const begins = sheet.state !== 'ready'
      shown = true
      // Reads the list once the stream of all jobs opens, so nothing is missed in between. Does not wait for a stream
      // that is already open or slow to open.
      clearTimeout(patience)
      if (!begins) return
      if (following) void loadFirst()
      else patience = setTimeout(() => void loadFirst(), PATIENCE_MS)
    },

    refresh: loadFirst,

    more: async (): Promise<void> => {
      const { cursor, filter } = sheet
      if (cursor === null || sheet.loadingMore || sheet.state !== 'ready') return
      setSheet({ loadingMore: true })
      try {
        const page = await client.list({ limit: PAGE, cursor, ...queryOf(filter) })
        if (sheet.cursor !== cursor || sheet.filter !== filter) return
        for (const job of page.data) remember(job)
        const known = new Set(sheet.ids)
        const added = page.data.map((job) => job.id).filter((id) => !known.has(id))
        setSheet({ ids: [...sheet.ids, ...added], cursor: page.next_cursor, loadingMore: false, problem: null })
      } catch (error) {
        setSheet({ loadingMore: false, problem: errorText(error) })
      }
    },

    /** Reads one run; rejects with the service's error. */
    read: async (id: string): Promise<Job> => {
      const job = await client.get(id)
      accept(job)
      return jobs.get(id) ?? job
    },

    /** Follows all jobs. Reads the list each time the connection opens, so no gap remains. */
    followAll: (): (() => void) => {
      const { close } = client.changes({
        onJob: accept,
        onReset: () => void loadFirst(),
        onState: (state) => {
          setConnection(state)
          following = state === 'open'
          if (state === 'connecting') return
          clearTimeout(patience)
          if (shown && (following || sheet.state === 'loading')) void loadFirst()
          if (following) for (const listener of byOpening) listener()
        },
      })
      return () => {
        following = false
        close()
      }
    },

    /** The state of another stream that the page follows in place of that of all jobs. */
    setConnection,
  }
}

const emptySheet = (filter: SheetFilter): Sheet => ({
  filter,
  ids: [],
  state: 'loading',
  cursor: null,
  loadingMore: false,
  problem: null,
})

export const filterKey = ({ status, preset, batch }: SheetFilter): string => [status, preset, batch].join(' ')

const queryOf = ({ status, preset, batch }: SheetFilter): ListOptions => ({
  ...(status ? { status } : {}),
  ...(preset ? { preset } : {}),
  ...(batch ? { batch } : {}),
})

function newerThan(a: Job, b: Job): boolean {
  return a.created_at === b.created_at ? a.id > b.id : a.created_at > b.created_at
}
