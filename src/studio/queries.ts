import { infiniteQueryOptions, QueryClient, type InfiniteData, type QueryKey } from '@tanstack/react-query'
import type { PageOptions } from '../client/client.ts'
import type { Page } from '../client/types.ts'

/** Everything that one session has read, except the runs, which events change (run-store.ts). */
export const createQueries = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      queries: {
        // The client repeats a read where that can help.
        retry: false,
        // A service on this machine responds without a network.
        networkMode: 'always',
        refetchOnWindowFocus: false,
      },
    },
  })

/** A query that is repeated while the page is visible, and at once when the page becomes visible again. */
export const every = (ms: number) => ({ refetchInterval: ms, refetchOnWindowFocus: true }) as const

/** A list that is read page by page. Rereading it begins with the first page and replaces all pages at once. */
export const pagesOf = <T>(queryKey: QueryKey, read: (page: PageOptions) => Promise<Page<T>>, limit = 20) =>
  infiniteQueryOptions({
    queryKey,
    queryFn: ({ pageParam }) => read({ limit, ...(pageParam === null ? {} : { cursor: pageParam }) }),
    initialPageParam: null as string | null,
    getNextPageParam: (last: Page<T>) => last.next_cursor,
    select: itemsOf<T>,
  })

function itemsOf<T>({ pages }: InfiniteData<Page<T>>): T[] {
  return pages.flatMap(({ data }) => data)
}
