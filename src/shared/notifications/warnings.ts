import { monotonicFactory } from 'ulid'
import type { Doorbells } from '../jobs/ports.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { Logger } from '../process/logger.ts'
import type { SingleNotices } from './ports.ts'

/** Events that happen outside of commits, each owed once. They never fail what they warn of. */
export function createWarnings({
  notices,
  doorbells,
  log,
}: {
  notices: SingleNotices
  doorbells: Pick<Doorbells, 'effect' | 'notice'>
  log: Logger
}) {
  const nextUlid = monotonicFactory()

  const attempt = async (type: string, owe: () => Promise<void>): Promise<void> => {
    try {
      await owe()
    } catch (error) {
      log.warn({ err: error, type }, 'could not record a warning for the receivers of a tenant')
    }
  }

  return {
    /** A submission met 402; `missing`: micro-credits. */
    creditsExhausted: (tenant: string, missing: number): Promise<void> =>
      attempt('credits.exhausted', async () => {
        const id = nextUlid()
        const notice = { v: 1, id, type: 'credits.exhausted', missing, job: null } as const
        if (await notices.oweExhausted(tenant, notice)) await doorbells.notice(tenant, id)
      }),

    /** An output is not copied, and upstream removes it soon. */
    artifactAtRisk: (job: JobRecord): Promise<void> =>
      attempt('artifact.at_risk', async () => {
        const notice = { v: 2, kind: 'notice', id: nextUlid(), type: 'artifact.at_risk' } as const
        if (await notices.oweOfJob(job, notice)) await doorbells.effect(job.id, notice)
      }),
  }
}

export type Warnings = ReturnType<typeof createWarnings>
