import type { JobRecord } from './job.ts'

/** What a list of jobs can be filtered by, besides their status. */

/** A name and a value by which jobs are found: `user`, or `metadata.<field>`. */
export type Label = readonly [name: string, value: string]

/** Part of the stored format: the labels of a job are computed again when it is removed. */
const MAX_METADATA_LABELS = 10

const METADATA = 'metadata.'

/**
 * The labels of a job: its user, and the first ten fields of its metadata whose value is a string, a number or a boolean,
 * in the order of the metadata.
 */
export function labelsOf({ user, metadata }: Pick<JobRecord, 'user' | 'metadata'>): Label[] {
  const labels: Label[] = []
  for (const [name, value] of Object.entries(metadata)) {
    if (labels.length === MAX_METADATA_LABELS) break
    const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    // A record does not keep the other name.
    if (isPlain && name !== '__proto__') labels.push([METADATA + name, String(value)])
  }
  return user === null ? labels : [['user', user], ...labels]
}

export interface JobFilter {
  /** All of them. */
  labels: readonly Label[]
  preset?: string | undefined
  batch?: string | undefined
  /** A prediction of the job: its current one, or an earlier one that the index still knows. */
  prediction_id?: string | undefined
  /** ms: created at this time or later */
  created_after?: number | undefined
  /** ms: created earlier */
  created_before?: number | undefined
}

/** Whether a job passes the filter, except for its prediction: only the index knows earlier ones. */
export function passes(job: JobRecord, filter: JobFilter): boolean {
  const { labels, preset, batch, created_after = -Infinity, created_before = Infinity } = filter
  if (job.preset !== (preset ?? job.preset) || job.batch !== (batch ?? job.batch)) return false
  if (job.created_at < created_after || job.created_at >= created_before) return false
  if (labels.length === 0) return true
  const own = labelsOf(job)
  return labels.every(([name, value]) => own.some((label) => label[0] === name && label[1] === value))
}
