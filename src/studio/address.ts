import { useMemo } from 'react'
import { navigate, useSearch } from 'wouter/use-browser-location'
import type { JobStatus } from '../client/types.ts'

export const STATUSES: readonly JobStatus[] = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']

/** The URL is the state: the path names the page (app.tsx), the query everything else that a link restores. */
interface Address {
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
  /** For the log of notifications: only those in this state, and for this endpoint. */
  delivery: string | null
  endpoint: string | null
  /** The run with the input for the composer. */
  from: string | null
}

function parse(search: string): Address {
  const query = new URLSearchParams(search)
  const status = query.get('status')
  return {
    status: STATUSES.find((known) => known === status) ?? null,
    search: query.get('q') ?? '',
    preset: query.get('preset'),
    model: query.get('model'),
    ofPreset: query.get('of'),
    ofBatch: query.get('batch'),
    kind: query.get('kind'),
    delivery: query.get('state'),
    endpoint: query.get('endpoint'),
    from: query.get('from'),
  }
}

/** Not the `useSearch` of wouter itself, which decodes the query once before it is parsed: `%2520` would be a space. */
export function useAddress(): Address {
  const search = useSearch()
  return useMemo(() => parse(search), [search])
}

/** Every navigation of Studio, links included. A new history entry is marked, so that `leave` can go back to it. */
export function go(to: string, { replace = false }: { replace?: boolean } = {}): void {
  navigate(to, { replace, state: replace ? history.state : { inside: true } })
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
