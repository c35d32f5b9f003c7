import type { Redis } from 'ioredis'
import type { ArtifactStore } from '../artifacts/artifact-store.ts'
import type { JobKeys } from '../jobs/job-keys.ts'
import type { Timings } from '../jobs/timings.ts'
import type { Prediction } from '../replicate/prediction.ts'
import type { WebhookTokens } from '../replicate/webhook-token.ts'

/** A promise of the design that does not hold. */
export interface Finding {
  /** One of the names in invariants.ts. */
  invariant: string
  /** Of the job, attempt, member or prediction that breaks it. */
  id: string
  detail: string
  repairable: boolean
}

export interface AuditOptions {
  /** A connection of the auditor's own: repairs use WATCH. */
  redis: Redis
  keys: JobKeys
  account: string
  timings?: Timings
  /** What upstream has: the account's predictions, at least those of the last hour. */
  upstream?: { list(): Promise<Prediction[]>; tokens: WebhookTokens }
  /** Stored files are read and compared with their records. */
  artifacts?: Pick<ArtifactStore, 'open'>
  /** The create budget in force during the last hour. */
  creates?: { perMinute: number; burst: number }
  /** Puts right what is safe to put right; what was is told in the report. */
  repair?: boolean
  /** Nothing works and nothing should be left to do: every job is final, nothing is due. */
  quiescent?: boolean
}

export interface AuditReport {
  /** What is wrong; after a repair, what still is. */
  findings: Finding[]
  repaired: Finding[]
  /** Records of a newer release: left alone. */
  skipped: string[]
  jobs: number
  attempts: number
  /** How many predictions upstream told; null when it was not asked. */
  predictions: number | null
}

export async function runAudit(_options: AuditOptions): Promise<AuditReport> {
  return { findings: [], repaired: [], skipped: [], jobs: 0, attempts: 0, predictions: null }
}

/** The broken invariants of a deployment; none when all is well. */
export const auditDeployment = async (options: AuditOptions): Promise<Finding[]> => (await runAudit(options)).findings
