import { z } from 'zod'
import type { UploadRecord } from '../inputs/upload.ts'
import type { LoadedBatch } from './check-batch.ts'
import type { LoadedJob } from './check-job.ts'
import type { Problem } from './finding.ts'

/** What became of reading a job. `phase` is told even when the rest cannot be read. */
export type Loaded =
  | { kind: 'job'; phase: string; loaded: LoadedJob }
  | { kind: 'missing' }
  /** Of a batch that is not accepted yet: nothing names it, and nobody was promised anything. */
  | { kind: 'draft' }
  | { kind: 'newer'; phase: string }
  | { kind: 'broken'; phase: string; detail: string }

export type FoundBatch =
  | { kind: 'batch'; loaded: LoadedBatch }
  | { kind: 'missing' }
  | { kind: 'newer' }
  | { kind: 'broken'; detail: string }

export interface FoundUpload extends Pick<UploadRecord, 'tenant' | 'state' | 'key' | 'bytes' | 'sha256'> {
  isUsed: boolean
  isDue: boolean
}

/** The names of a deployment's keys, by what they are. */
export interface KeyNames {
  jobs: Set<string>
  /** Jobs that have documents or an outbox. */
  parts: Map<string, string[]>
  /** Tenant indexes: all of a tenant's jobs (status null), or those of one status. */
  tenants: { key: string; tenant: string }[]
  batches: Set<string>
  /** Batches of which more than the record is there. */
  batchParts: Map<string, string[]>
  tenantBatches: string[]
  slots: string[]
  /** Jobs whose files outlived their records. */
  keptFiles: Set<string>
  uploads: Set<string>
  /** Uploads that have more than a record. */
  uploadParts: Set<string>
  open: string[]
  unknown: string[]
  predictions: { key: string; id: string }[]
  idempotency: { key: string; entry: string }[]
}

export type IndexKind = 'zset' | 'set'

/** How an audit reads a deployment, and writes its repairs. */
export interface AuditSource {
  /** ms, the store's clock */
  now(): Promise<number>
  load(id: string): Promise<Loaded>
  loadBatch(id: string): Promise<FoundBatch>
  /** `job`: whether it knows that this one uses it. null: there is no such upload. */
  upload(id: string, job: string | null): Promise<FoundUpload | null>
  names(): Promise<KeyNames>
  /** Tenants that have an account or a ledger. */
  ledgers(): Promise<string[]>
  /** Pages of an index. */
  members(kind: IndexKind, key: string): AsyncIterable<string[]>
  holds(kind: IndexKind, key: string, member: string): Promise<boolean>
  /** '' when there is no such job */
  revision(id: string): Promise<string>
  text(key: string): Promise<string | null>
  /** phase -> number of jobs */
  counters(): Promise<Record<string, number>>
  /** Id of the newest transition. */
  lastEvent(): Promise<string>
  /** How many transitions came after it; Infinity when that is not known any more. */
  eventsSince(id: string): Promise<number>
  dueCount(): Promise<number>
  /** Whether the queue of sweeps has a next one. */
  sweepScheduled(): Promise<boolean>
  /** Whether the repair was made: not when the job has moved on since it was looked at. */
  repair(problem: Problem): Promise<boolean>
}

const storedEntry = z.union([
  z.object({ job: z.string() }).transform(({ job }) => ({ kind: 'job' as const, id: job })),
  z.object({ batch: z.string() }).transform(({ batch }) => ({ kind: 'batch' as const, id: batch })),
])

/** What an idempotency entry names; the text itself, as if it were a job, when it cannot be read. */
export function entryTarget(entry: string): { kind: 'job' | 'batch'; id: string } {
  try {
    return storedEntry.parse(JSON.parse(entry))
  } catch {
    return { kind: 'job', id: entry }
  }
}
