import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react'
import type { JobStatus } from '../client/types.ts'

export const STATUSES: readonly JobStatus[] = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']

/** The address is the state: everything that a link should bring back is read from here. */
export interface Address {
  /** What is shown: the sheet with the composer, the composer alone on narrow screens, one run, or nothing known. */
  page: 'sheet' | 'new' | 'run' | 'lost'
  runId: string
  status: JobStatus | null
  search: string
  model: string | null
  /** The run whose input fills the composer. */
  from: string | null
}

const MOVED = 'studio:moved'

function parse(href: string): Address {
  const url = new URL(href)
  const run = /^\/runs\/([^/]+)\/?$/.exec(url.pathname)
  const status = url.searchParams.get('status')
  return {
    page: run ? 'run' : url.pathname === '/new' ? 'new' : url.pathname === '/' ? 'sheet' : 'lost',
    runId: run?.[1] ? decodeURIComponent(run[1]) : '',
    status: STATUSES.find((known) => known === status) ?? null,
    search: url.searchParams.get('q') ?? '',
    model: url.searchParams.get('model'),
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

/** Changes some of the query and keeps the rest, without a new entry in the history. */
export function amend(changes: Record<string, string | null>): void {
  go(withQuery(changes), { replace: true })
}

export function withQuery(changes: Record<string, string | null>): string {
  const url = new URL(location.href)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  // `owner/name` stays readable.
  return url.pathname + url.search.replaceAll('%2F', '/')
}

/** Back to where the person came from, or to the sheet when this page was opened by its address. */
export function leave(): void {
  const state: unknown = history.state
  if (typeof state === 'object' && state !== null && 'inside' in state) history.back()
  else go('/')
}

export function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`
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
