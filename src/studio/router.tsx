import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react'
import type { JobStatus } from '../client/types.ts'

export const STATUSES: readonly JobStatus[] = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']

/** The URL is the state: everything that a link restores is read from here. */
export interface Address {
  /** The page: the sheet with the composer, the composer alone on narrow screens, one run, or not found. */
  page: 'sheet' | 'new' | 'run' | 'batches' | 'new-batch' | 'batch' | 'credits' | 'health' | 'lost'
  runId: string
  batchId: string
  status: JobStatus | null
  search: string
  /** For the composer. */
  preset: string | null
  model: string | null
  /** For the sheet: only runs of this preset or batch. */
  ofPreset: string | null
  ofBatch: string | null
  /** For the ledger: only entries of this kind. */
  kind: string | null
  /** The run with the input for the composer. */
  from: string | null
}

const MOVED = 'studio:moved'

const PAGES: Record<string, Address['page']> = {
  '/': 'sheet',
  '/new': 'new',
  '/batches': 'batches',
  '/batches/new': 'new-batch',
  '/credits': 'credits',
  '/health': 'health',
}

function parse(href: string): Address {
  const url = new URL(href)
  const path = url.pathname.replace(/(.)\/$/, '$1')
  const [, kind, id] = /^\/(runs|batches)\/([^/]+)$/.exec(path) ?? []
  const status = url.searchParams.get('status')
  return {
    page: PAGES[path] ?? (kind === undefined ? 'lost' : kind === 'runs' ? 'run' : 'batch'),
    runId: kind === 'runs' && id ? decodeURIComponent(id) : '',
    batchId: kind === 'batches' && id ? decodeURIComponent(id) : '',
    status: STATUSES.find((known) => known === status) ?? null,
    search: url.searchParams.get('q') ?? '',
    preset: url.searchParams.get('preset'),
    model: url.searchParams.get('model'),
    ofPreset: url.searchParams.get('of'),
    ofBatch: url.searchParams.get('batch'),
    kind: url.searchParams.get('kind'),
    from: url.searchParams.get('from'),
  }
}

let parsed: { href: string; address: Address } | null = null

function snapshot(): Address {
  if (parsed?.href !== location.href) parsed = { href: location.href, address: parse(location.href) }
  return parsed.address
}

function subscribe(listener: () => void): () => void {
  addEventListener('popstate', listener)
  addEventListener(MOVED, listener)
  return () => {
    removeEventListener('popstate', listener)
    removeEventListener(MOVED, listener)
  }
}

export function useAddress(): Address {
  return useSyncExternalStore(subscribe, snapshot)
}

export function go(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(history.state, '', to)
  else history.pushState({ inside: true }, '', to)
  dispatchEvent(new Event(MOVED))
}

/** Changes parts of the query, without a new history entry. */
export function amend(changes: Record<string, string | null>): void {
  go(withQuery(changes), { replace: true })
}

export function withQuery(changes: Record<string, string | null>): string {
  const url = new URL(location.href)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  // Keeps `owner/name` readable.
  return url.pathname + url.search.replaceAll('%2F', '/')
}

/** Goes back to the previous page, or to `otherwise` if this page was opened directly. */
export function leave(otherwise = '/'): void {
  const state: unknown = history.state
  if (typeof state === 'object' && state !== null && 'inside' in state) history.back()
  else go(otherwise)
}

export function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`
}

export function batchPath(id: string): string {
  return `/batches/${encodeURIComponent(id)}`
}

export function Link({ href, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event)
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    go(href)
  }
  return <a href={href} onClick={follow} {...rest} />
}
