import { titleOf } from '../client/client.ts'
import type { Artifact, Batch, Job } from '../client/types.ts'

/** Formats jobs, batches, amounts and times for a terminal. */

export const MICRO = 1_000_000

/** `0.0125` credits for 12,500 micro-credits. */
export const credits = (micro: number): string =>
  (micro / MICRO).toLocaleString('en-US', { maximumFractionDigits: 6, useGrouping: true })

export const percent = (share: number): string => `${Math.round(share * 100)}%`

/** s between two moments of the service; to now while the second is open. */
export function secondsBetween(from: string, to: string | null): number {
  return Math.max(0, (to === null ? Date.now() : Date.parse(to)) - Date.parse(from)) / 1000
}

/** `0.8 s`, `33.2 s`, `2 min 5 s`. Rounded before it is taken apart, so that no part is 60. */
export function span(seconds: number): string {
  const tenths = Math.round(seconds * 10)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

export const nameOf = ({ preset, model, deployment, version }: Job): string =>
  preset ?? model ?? deployment ?? version ?? 'job'

const TITLE_LENGTH = 60

/** What distinguishes a job from others: the text of its input, else its target. */
export function labelOf(job: Job): string {
  const title = titleOf(job)?.replaceAll(/\s+/g, ' ')
  if (!title) return nameOf(job)
  return title.length <= TITLE_LENGTH ? title : `${title.slice(0, TITLE_LENGTH - 1)}…`
}

/** Waiting reason, or progress. A job whose files are being copied has no progress. */
export function stateOf({ status, phase, progress, waiting_for, error }: Job): string {
  // A cancel needs no reason.
  if (error && error.code !== status) return `${status}: ${error.code}`
  if (waiting_for && waiting_for.reason !== 'budget') return `${status} (${waiting_for.reason})`
  if (phase === 'storing') return `${status} (storing)`
  return progress !== null && status === 'processing' ? `${status} ${percent(progress)}` : status
}

export function batchLine({ counts, status, cost }: Batch): string {
  const { total, ...rest } = counts
  const parts = Object.entries(rest).flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : []))
  const spent = cost === null ? '' : `, ${credits(cost.captured)} credits`
  return `${status}: ${parts.join(', ')} of ${total}${spent}`
}

const ENDINGS: Record<string, string> = {
  'image/webp': 'webp',
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/gif': 'gif',
  'image/avif': 'avif',
  'image/svg+xml': 'svg',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'audio/mpeg': 'mp3',
  'audio/wav': 'wav',
  'audio/x-wav': 'wav',
  'audio/ogg': 'ogg',
  'audio/flac': 'flac',
  'application/zip': 'zip',
  'application/json': 'json',
  'text/plain': 'txt',
}

/** Name of a saved file; only its extension depends on the response. */
export const endingOf = ({ media_type }: Pick<Artifact, 'media_type'>): string =>
  ENDINGS[media_type.split(';')[0]?.trim().toLowerCase() ?? ''] ?? 'bin'
