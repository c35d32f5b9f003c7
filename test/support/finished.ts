import type { Job } from '../../src/client/types.ts'
import type { TestService } from './start-service.ts'
import { PATIENCE_MS, waitFor } from './wait-for.ts'

/** The job once it is final. */
export async function finished(service: Pick<TestService, 'client'>, id: string, timeout = PATIENCE_MS): Promise<Job> {
  return waitFor(
    `${id} to be final`,
    async () => {
      const job = await service.client.get(id)
      return job.completed_at === null ? undefined : job
    },
    { timeout },
  )
}

/** The job once its phase is one of these. */
export async function inPhase(
  service: Pick<TestService, 'client'>,
  id: string,
  ...phases: Job['phase'][]
): Promise<Job> {
  return waitFor(`${id} to be ${phases.join(' or ')}`, async () => {
    const job = await service.client.get(id)
    return phases.includes(job.phase) ? job : undefined
  })
}

/** Submits `count` jobs, a few at a time, and answers their ids. */
export async function submitMany(
  service: Pick<TestService, 'client'>,
  count: number,
  request: (index: number) => Parameters<TestService['client']['submit']>[0],
): Promise<string[]> {
  const ids: string[] = []
  for (let at = 0; at < count; at += 25) {
    const batch = Array.from({ length: Math.min(25, count - at) }, (_, i) => service.client.submit(request(at + i)))
    ids.push(...(await Promise.all(batch)).map(({ id }) => id))
  }
  return ids
}
