import { useEffect, useSyncExternalStore } from 'react'
import type { StreamState } from '../client/client.ts'
import type { Job } from '../client/types.ts'
import { usePageVisible } from './page-visible.ts'
import type { Sheet } from './run-store.ts'
import { useStudio } from './studio-context.ts'

export function useJob(id: string): Job | undefined {
  const { runs } = useStudio()
  return useSyncExternalStore(
    (listener) => runs.onJob(id, listener),
    () => runs.job(id),
  )
}

export function useSheet(): Sheet {
  const { runs } = useStudio()
  return useSyncExternalStore(runs.onSheet, runs.sheet)
}

/** Follows all jobs while the page is visible. */
export function useFollowAll(): void {
  const { runs } = useStudio()
  const visible = usePageVisible()
  useEffect(() => (visible ? runs.followAll() : undefined), [runs, visible])
}

export function useConnection(): StreamState {
  const { runs } = useStudio()
  return useSyncExternalStore(runs.onConnection, runs.connection)
}
