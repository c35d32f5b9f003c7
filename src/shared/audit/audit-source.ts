import { z } from 'zod'
import type { LoadedJob } from './check-job.ts'
import type { Problem } from './finding.ts'

/** What became of reading a job. `phase` is told even when the rest cannot be read. */
export type Loaded =
  | { kind: 'job'; phase: string; loaded: LoadedJob }
  | { kind: 'missing' }
  | { kind: 'newer'; phase: string }
  | { kind: 'broken'; phase: string; detail: string }

/** The names of a deployment's keys, by what they are. */
export interface KeyNames {
  jobs: Set<string>
  /** Jobs that have documents or an outbox. */
  parts: Map<string, string[]>
  /** Tenant indexes: all of a tenant's jobs (status null), or those of one status. */
  tenants: { key: string; tenant: string }[]
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
  names(): Promise<KeyNames>
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
  /** Whether the repair was made: not when the job has moved on since it was looked at. */
  repair(problem: Problem): Promise<boolean>
}

const storedEntry = z.object({ job: z.string() })

/** The job that an idempotency entry names; the text itself when it cannot be read. */
export function entryJob(entry: string): string {
  try {
    return storedEntry.parse(JSON.parse(entry)).job
  } catch {
    return entry
  }
}
