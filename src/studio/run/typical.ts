import { useQuery } from '@tanstack/react-query'
import type { Job } from '../../client/types.ts'
import { between, sourceOf } from '../format.ts'
import { useStudio } from '../studio-context.ts'

interface Typical {
  /** Milliseconds; median. */
  half: number
  /** Milliseconds; 90th percentile. */
  most: number
}

/** Minimum sample size. */
const ENOUGH = 5
const KEPT_MS = 60_000

/**
 * Durations of the latest successful runs of the same model from the request on, without the queue; null while the
 * sample is too small. Optional: on an error it is null.
 */
export function useTypical(job: Job): Typical | null {
  const { client } = useStudio()
  const source = sourceOf(job)
  const { data = null } = useQuery({
    queryKey: ['typical', source],
    queryFn: async () => typicalOf((await client.list({ status: 'succeeded', limit: 100 })).data, source),
    staleTime: KEPT_MS,
  })
  return data
}

function typicalOf(jobs: readonly Job[], source: string): Typical | null {
  const took = jobs
    .filter((each) => sourceOf(each) === source)
    .flatMap((each) => between(each.submitted_at, each.completed_at) ?? [])
    .sort((a, b) => a - b)
  return took.length < ENOUGH ? null : { half: rank(took, 0.5), most: rank(took, 0.9) }
}

function rank(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0
}
