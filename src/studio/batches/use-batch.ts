import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect } from 'react'
import { useBatch as useStream } from '../../client/react.ts'
import type { Batch } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { usePageVisible } from '../page-visible.ts'
import { pagesOf } from '../queries.ts'
import { useStudio } from '../studio-context.ts'

const keyOf = (id: string) => ['batch', id] as const

/** A batch and its runs, updated live: the counts by the batch's stream, the runs by the stream of all jobs. */
export function useBatch(id: string): { batch: Batch | undefined; ids: readonly string[]; problem: string | null } {
  const { client, runs } = useStudio()
  const queries = useQueryClient()
  const put = usePutBatch()
  const visible = usePageVisible()
  const { data: batch, error } = useQuery({ queryKey: keyOf(id), queryFn: () => client.getBatch(id) })
  const pages = useInfiniteQuery(
    pagesOf(
      [...keyOf(id), 'runs'],
      async (page) => {
        const { data, ...rest } = await client.batchJobs(id, page)
        for (const job of data) runs.accept(job)
        return { ...rest, data: data.map((job) => job.id) }
      },
      100,
    ),
  )

  const { hasNextPage, isFetching, isError, fetchNextPage } = pages
  useEffect(() => {
    if (hasNextPage && !isFetching && !isError) void fetchNextPage()
  }, [hasNextPage, isFetching, isError, fetchNextPage])

  // Reads what was missed before the stream opened; the result of a read that began earlier may lack it.
  useEffect(() => {
    const queryKey = keyOf(id)
    const read = () => void queries.cancelQueries({ queryKey }).then(() => queries.invalidateQueries({ queryKey }))
    return runs.onOpening(read)
  }, [queries, runs, id])

  const over = batch === undefined || batch.completed_at !== null
  const { batch: news } = useStream(visible && !over ? id : null, { client })
  useEffect(() => {
    if (news) put(news)
  }, [put, news])

  const problem = batch ? pages.error : error
  return { batch, ids: pages.data ?? NONE, problem: problem && errorText(problem) }
}

const NONE: readonly never[] = []

/** Returns a function that shows a newer state of a batch. */
export function usePutBatch(): (batch: Batch) => void {
  const queries = useQueryClient()
  return useCallback((batch) => void queries.setQueryData(keyOf(batch.id), batch), [queries])
}
