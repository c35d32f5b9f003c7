import { z } from 'zod'
import type { Ends } from './keep.ts'
import type { JobRecord, JobState } from './job.ts'

/** Stored files that outlive the record of their job: enough to find them when their time comes. */
export interface KeptFiles {
  tenant: string
  keys: string[]
  /** Everything below these is the job's alone. */
  folders: string[]
}

/** As it is kept in Redis; `until`: when they go, ms. */
export const keptFilesSchema = z.object({
  tenant: z.string(),
  keys: z.array(z.string()),
  folders: z.array(z.string()),
  until: z.number(),
})

export type PurgePart = 'index' | 'payload' | 'entry'

/** What a clean-up removes of a final job. */
export type Purge =
  /** `next`: when the job is looked at again, ms. */
  | { remove: 'parts'; parts: readonly PurgePart[]; next: number }
  /**
   * The record. `early`: upstream may still show its predictions, which are remembered as nobody's. `kept`: files that
   * stay, and the time at which they go, ms.
   */
  | { remove: 'record'; early: boolean; kept: { files: KeptFiles; until: number } | null }

/** Where the files of a job are when its record goes: with it, or left where they are, for a while or for good. */
export type FilesAfter = { stay: false } | { stay: true; until: number }

/** What is due of a final job at `now`, ms. */
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
 * Whether input and output are still needed: by what the outbox owes (a cancel needs neither), or to recognise a
 * prediction that nobody has seen.
 */
export const owesPayload = ({ attempts, effects }: Pick<JobState, 'attempts' | 'effects'>): boolean =>
  effects.some(({ kind }) => kind !== 'cancel') ||
  attempts.some(({ state }) => state === 'intended' || state === 'unknown')

/** Whether its record is still needed. */
export const owesRecord = ({ attempts, effects }: Pick<JobState, 'attempts' | 'effects'>): boolean =>
  effects.length > 0 || attempts.some(({ state }) => state !== 'closed')
