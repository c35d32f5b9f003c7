import { useCallback, useEffect, useState } from 'react'
import type { Page } from '../client/types.ts'
import { errorText } from './run-store.ts'

interface Pages<T> {
  items: readonly T[]
  state: 'loading' | 'ready' | 'failed'
  cursor: string | null
  problem: string | null
}

export interface PagedList<T> extends Pages<T> {
  more: () => void
  /** Rereads the first page and keeps the pages after it. */
  refresh: () => void
  /** Reads the first page again after a failure. */
  retry: () => void
}

/**
 * A list loaded page by page, newest first. `read` must stay the same function: wrap it in `useCallback`, and give the
 * component a new key for another list.
 */
export function usePages<T extends { id: string }>(
  read: (page: { limit: number; cursor?: string }) => Promise<Page<T>>,
  limit = 20,
): PagedList<T> {
  const [pages, setPages] = useState<Pages<T>>({ items: [], state: 'loading', cursor: null, problem: null })

  const load = useCallback(
    (cursor: string | null) =>
      read({ limit, ...(cursor === null ? {} : { cursor }) }).then(
        (page) => setPages((before) => joined(before, page, cursor)),
        (error: unknown) =>
          setPages((before) => ({
            ...before,
            state: before.items.length > 0 ? 'ready' : 'failed',
            problem: errorText(error),
          })),
      ),
    [read, limit],
  )
  useEffect(() => void load(null), [load])

  return {
    ...pages,
    more: () => {
      if (pages.cursor === null || pages.state === 'loading') return
      setPages({ ...pages, state: 'loading' })
      void load(pages.cursor)
    },
    refresh: useCallback(() => void load(null), [load]),
    retry: () => {
      setPages({ ...pages, state: 'loading', problem: null })
      void load(null)
    },
  }
}

function joined<T extends { id: string }>(before: Pages<T>, page: Page<T>, cursor: string | null): Pages<T> {
  const ready = { state: 'ready', problem: null } as const
  if (cursor !== null) return { items: [...before.items, ...page.data], cursor: page.next_cursor, ...ready }
  const last = page.data.at(-1)
  const seam = last ? before.items.findIndex(({ id }) => id === last.id) : -1
  // If the new first page does not overlap the old ones there is a gap, so starts over.
  if (seam === -1) return { items: page.data, cursor: page.next_cursor, ...ready }
  const rest = before.items.slice(seam + 1)
  return { items: [...page.data, ...rest], cursor: rest.length > 0 ? before.cursor : page.next_cursor, ...ready }
}
