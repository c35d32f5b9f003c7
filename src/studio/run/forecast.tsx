import { useQuery } from '@tanstack/react-query'
import type { Job } from '../../client/types.ts'
import { counted, duration } from '../format.ts'
import { useStudio } from '../studio-context.ts'

/** Lists and streams do not show it, and it changes as others start. */
const AGAIN_MS = 2_000

/** Whole seconds: a forecast is no more exact. It stays on one line. */
const roughly = (seconds: number): string =>
  (seconds < 60 ? `${seconds} s` : duration(seconds * 1000)).replaceAll(' ', '\u00a0')

/** How many runs start before a waiting one, and when it is expected to start. Optional: nothing on an error. */
export function StartForecast({ job }: { job: Job }) {
  const { client } = useStudio()
  const { data: forecast = null } = useQuery({
    queryKey: ['forecast', job.id],
    queryFn: async () => (await client.get(job.id)).forecast ?? null,
    refetchInterval: AGAIN_MS,
  })
  // Without a position, what it waits for says when.
  if (forecast === null || forecast.position === null) return null
  const { position, starts_in: start } = forecast
  const ahead = position === 0 ? 'Next in line' : `${counted(position, 'run')} before it`
  return (
    <p className="muted tabular">
      {ahead}
      {start !== null && start.p50 > 0 && ` · starts in about ${roughly(start.p50)}, 90% within ${roughly(start.p90)}`}
      {start !== null && start.p50 === 0 && ` · starts within ${roughly(Math.max(1, start.p90))}`}
    </p>
  )
}
