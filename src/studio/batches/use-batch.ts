import { useCallback, useEffect, useState } from 'react'
import type { Batch } from '../../client/types.ts'
import { usePageVisible } from '../page-visible.ts'
import { errorText } from '../run-store.ts'
import { useStudio } from '../studio-context.ts'

const PAGE = 100

/** A batch and its runs, updated live: the counts by the batch's stream, the runs by the stream of all jobs. */
export function useBatch(id: string): {
  batch: Batch | null
  ids: readonly string[]
  problem: string | null
  accept: (batch: Batch) => void
} {
  const { client, runs } = useStudio()
  const [batch, setBatch] = useState<Batch | null>(null)
  const [ids, setIds] = useState<readonly string[]>([])
  const [problem, setProblem] = useState<string | null>(null)
  const [runsProblem, setRunsProblem] = useState<string | null>(null)
  const visible = usePageVisible()

  useEffect(() => {
    let current = true
    const read = () =>
      void client.batch(id).then(
        (found) => current && setBatch(found),
        (error: unknown) => current && setProblem(errorText(error)),
      )
    read()
    const leave = runs.onOpening(read)
    return () => {
      current = false
      leave()
    }
  }, [client, runs, id])

  const over = batch === null || batch.completed_at !== null
  useEffect(() => (visible && !over ? client.batchEvents(id, setBatch) : undefined), [client, id, visible, over])

  useEffect(() => {
    let current = true
    const readAll = async () => {
      const known: string[] = []
      let cursor: string | null = null
      do {
        const page = await client.batchJobs(id, { limit: PAGE, ...(cursor === null ? {} : { cursor }) })
        if (!current) return
        for (const job of page.data) runs.accept(job)
        known.push(...page.data.map((job) => job.id))
        // Rereading pages must not shorten the list on screen.
        setIds((before) => (known.length > before.length ? [...known] : before))
        cursor = page.next_cursor
      } while (cursor !== null)
      setRunsProblem(null)
    }
    const start = () => void readAll().catch((error: unknown) => current && setRunsProblem(errorText(error)))
    start()
    const leave = runs.onOpening(start)
    return () => {
      current = false
      leave()
    }
  }, [client, runs, id])

  return {
    batch,
    ids,
    problem: batch ? runsProblem : problem,
    accept: useCallback((next: Batch) => setBatch(next), []),
  }
}
