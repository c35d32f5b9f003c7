import { z } from 'zod'
import type { Ends } from './keep.ts'
import type { JobRecord, JobState } from './job.ts'

/** Location of stored files that outlive the record of their job. */
export interface KeptFiles {
  tenant: string
  keys: string[]
  /** Folders whose whole content belongs to the job. */
  folders: string[]
}

/** The form in Redis; `until`: when the files are removed, ms. */
export const keptFilesSchema = z.object({
  tenant: z.string(),
  keys: z.array(z.string()),
  folders: z.array(z.string()),
  until: z.number(),
  // What they count for their tenant; absent in records of releases that did not count them.
  bytes: z.number().default(0),
  files: z.number().default(0),
})

export type PurgePart = 'index' | 'payload' | 'entry'

/** What a clean-up removes from a final job. */
export type Purge =
  /** `next`: time of the next clean-up, ms. */
  | { remove: 'parts'; parts: readonly PurgePart[]; next: number }
  /**
   * The record. `early`: upstream may still list its predictions, which are recorded as foreign. `kept`: files that outlive
   * the record, and the time of their removal, ms.
   */
  | { remove: 'record'; early: boolean; kept: { files: KeptFiles; until: number } | null }

/** What happens to the files of a job when its record is removed; `until`: ms, Infinity: forever. */
export type FilesAfter = { stay: false } | { stay: true; until: number }

/** The parts of a final job that are due for removal at `now`, ms; `early`: the record is due. */
export function duePurge(
  completedAt: number,
  ends: Ends,
  now: number,
  keepPredictionIndex: number,
): { parts: PurgePart[]; next: number } | { early: boolean } {
  const index = completedAt + keepPredictionIndex
  if (now >= ends.job) return { early: now < index }
  const moments = { index, payload: ends.payload, entry: ends.entry }
  const parts = (['index', 'payload', 'entry'] as const).filter((part) => now >= moments[part])
  return { parts, next: Math.min(ends.job, ...Object.values(moments).filter((at) => at > now)) }
}

export const filesAfter = ({ artifacts }: Pick<JobRecord, 'artifacts'>, ends: Ends): FilesAfter =>
  artifacts.length > 0 && ends.files > ends.job ? { stay: true, until: ends.files } : { stay: false }

/**
 * Whether input and output are still needed: for a row of the outbox (a cancel needs neither), or to recognize a prediction
 * with an unknown outcome.
 */
export const owesPayload = ({ attempts, effects }: Pick<JobState, 'attempts' | 'effects'>): boolean =>
  effects.some(({ kind }) => kind !== 'cancel') ||
  attempts.some(({ state }) => state === 'intended' || state === 'unknown')

/** Whether the record is still needed. */
export const owesRecord = ({ attempts, effects }: Pick<JobState, 'attempts' | 'effects'>): boolean =>
  effects.length > 0 || attempts.some(({ state }) => state !== 'closed')
