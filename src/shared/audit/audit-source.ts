import { z } from 'zod'
import type { CountName } from '../credits/verify-budgets.ts'
import type { UploadRecord } from '../inputs/rules/upload.ts'
import type { StoredAmount } from '../limits/rules/stored.ts'
import type { LoadedBatch } from './rules/check-batch.ts'
import type { LoadedJob } from './rules/check-job.ts'
import type { OrderSnapshot } from './rules/check-order.ts'
import type { Problem } from './rules/finding.ts'

/** Result of reading a job. `phase` is present even when the rest is unreadable. */
export type Loaded =
  | { kind: 'job'; phase: string; loaded: LoadedJob }
  | { kind: 'missing' }
  /** A job of a batch that is not accepted yet: no index names it. */
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
  /** Whether it counts for the quota of its tenant. */
  isCounted: boolean
}

/** `changes`: number of changes of the count. */
export interface StoredCount extends StoredAmount {
  changes: number
}

/** The names of a deployment's keys, by kind. */
export interface KeyNames {
  jobs: Set<string>
  /** Jobs that have documents or an outbox, with these parts. */
  parts: Map<string, string[]>
  /** Tenant indexes: all of a tenant's jobs (status null), or those of one status. */
  tenants: { key: string; tenant: string }[]
  /** Indexes of a tenant's jobs by labels. */
  labels: { key: string; tenant: string }[]
  batches: Set<string>
  /** Batches that have more keys than their record, with these parts. */
  batchParts: Map<string, string[]>
  tenantBatches: string[]
  /** Jobs whose files outlived their records. */
  keptFiles: Set<string>
  /** What budgets count in a period. */
  budgetCounts: CountName[]
  /** Tenants with an outbox. */
  notices: string[]
  /** Tenants with endpoints, or with counts of them. */
  subscribers: Set<string>
  /** Those for which notifications wait. */
  destinations: string[]
  uploads: Set<string>
  /** Uploads that have more than a record. */
  uploadParts: Set<string>
  open: string[]
  unknown: string[]
  predictions: { key: string; id: string }[]
  idempotency: { key: string; entry: string }[]
}

export type IndexKind = 'zset' | 'set'

/** Reads a deployment for an audit, and writes its repairs. */
export interface AuditSource {
  /** ms, the store's clock */
  now(): Promise<number>
  load(id: string): Promise<Loaded>
  loadBatch(id: string): Promise<FoundBatch>
  /** `isUsed`: whether the upload lists `job` as a user. null: the upload does not exist. */
  upload(id: string, job: string | null): Promise<FoundUpload | null>
  names(): Promise<KeyNames>
  /** Tenants that have an account or a ledger. */
  ledgers(): Promise<string[]>
  /** Ids of the rows of a tenant's outbox. */
  notices(tenant: string): Promise<string[]>
  /** Whether such a row, and its member of the due index, exist. */
  notice(tenant: string, id: string, member: string): Promise<[isOwed: boolean, isDue: boolean]>
  /** id -> JSON of a tenant's endpoints, and type of event -> number of them; `seen`: both as a text, to compare. */
  subscribers(
    tenant: string,
  ): Promise<{ endpoints: Record<string, string>; counts: Record<string, string>; seen: string }>
  /** The number of notifications that wait for a destination, and whether it is among those that are served. */
  waiting(destination: string): Promise<[waiting: number, isServed: boolean]>
  /** Pages of an index. */
  members(kind: IndexKind, key: string): AsyncIterable<string[]>
  holds(kind: IndexKind, key: string, member: string): Promise<boolean>
  /** '' when the job does not exist */
  revision(id: string): Promise<string>
  text(key: string): Promise<string | null>
  /** tenant -> what it has stored, as counted */
  stored(): Promise<Map<string, StoredCount>>
  /** tenant -> the sum of what these records say that they count */
  countedBy(names: Pick<KeyNames, 'jobs' | 'uploads' | 'keptFiles'>): Promise<Map<string, StoredAmount>>
  /** The order of waiting jobs. */
  order(): Promise<OrderSnapshot>
  /** phase -> number of jobs */
  counters(): Promise<Record<string, number>>
  /** Id of the newest transition. */
  lastEvent(): Promise<string>
  /** Number of transitions after it; Infinity when the stream no longer reaches back to it. */
  eventsSince(id: string): Promise<number>
  dueCount(): Promise<number>
  /** Whether the next sweep is scheduled. */
  sweepScheduled(): Promise<boolean>
  /** Returns whether the repair was made; false when the job has changed since it was read. */
  repair(problem: Problem): Promise<boolean>
}

const storedEntry = z.union([
  z.object({ job: z.string() }).transform(({ job }) => ({ kind: 'job' as const, id: job })),
  z.object({ batch: z.string() }).transform(({ batch }) => ({ kind: 'batch' as const, id: batch })),
])

/** The job or batch that an idempotency entry names; an unreadable entry is returned as the id of a job. */
export function entryTarget(entry: string): { kind: 'job' | 'batch'; id: string } {
  try {
    return storedEntry.parse(JSON.parse(entry))
  } catch {
    return { kind: 'job', id: entry }
  }
}
