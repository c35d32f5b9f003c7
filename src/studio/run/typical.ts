import { useEffect, useState } from 'react'
import type { Job } from '../../client/types.ts'
import { between, sourceOf } from '../format.ts'
import { useStudio } from '../studio-context.ts'

export interface Typical {
  /** Milliseconds; median. */
  half: number
  /** Milliseconds; 90th percentile. */
  most: number
}

/** Minimum sample size. */
const ENOUGH = 5

/**
 * Durations of the latest successful runs of the same model from the request on, without the queue; null while the
 * sample is too small.
 */
export function useTypical(job: Job): Typical | null {
  const { client } = useStudio()
  const [typical, setTypical] = useState<Typical | null>(null)
  const source = sourceOf(job)
  useEffect(() => {
    let current = true
    const look = async () => {
      const page = await client.list({ status: 'succeeded', limit: 100 })
      const took = page.data
        .filter((each) => sourceOf(each) === source)
        .flatMap((each) => between(each.submitted_at, each.completed_at) ?? [])
        .sort((a, b) => a - b)
      if (current && took.length >= ENOUGH) setTypical({ half: rank(took, 0.5), most: rank(took, 0.9) })
    }
    // Optional: on an error the line is missing.
    look().catch(() => undefined)
    return () => void (current = false)
  }, [client, source])
  return typical
}

function rank(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0
}
