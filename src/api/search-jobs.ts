import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { JobFinder, JobQuery } from '../shared/jobs/ports.ts'

/** Limit of the reads for one page: the indexes may name jobs that are not wanted. */
const READS = 5

export interface JobSearch {
  query: Omit<JobQuery, 'limit'>
  /** Jobs of the page. */
  limit: number
  /** Jobs per read. */
  chunk: number
  isWanted: (job: JobRecord) => boolean
}

/** A page of the wanted jobs, in the order of the query. `next`: the id after which to continue; null: there are no more. */
export async function searchJobs(
  store: Pick<JobFinder, 'list'>,
  tenant: string,
  { query, limit, chunk, isWanted }: JobSearch,
): Promise<{ jobs: JobRecord[]; next: string | null }> {
  const jobs: JobRecord[] = []
  const side = query.after === undefined ? 'before' : 'after'
  let from = query[side]
  for (let read = 0; read < READS; read++) {
    const found = await store.list(tenant, { ...query, [side]: from, limit: chunk })
    for (const [at, job] of found.jobs.entries()) {
      if (isWanted(job)) jobs.push(job)
      if (jobs.length === limit)
        return { jobs, next: at < found.jobs.length - 1 || found.last !== null ? job.id : null }
    }
    if (found.last === null) return { jobs, next: null }
    from = found.last
  }
  return { jobs, next: from ?? null }
}
