import { titleOf as textOf } from '../client/client.ts'
import type { Job, Json } from '../client/types.ts'

/** "40 ms", "0.8 s", "12 s", "3 m 04 s", "2 h 10 m": at most two units. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000
  // Truncates all parts, so none rounds up to the next unit.
  if (seconds < 0.1) return `${Math.floor(seconds * 1_000)} ms`
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} m ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`
}

/** "1 run", "2,000 runs". */
export function counted(count: number, one: string): string {
  return `${count.toLocaleString()} ${count === 1 ? one : `${one}s`}`
}

/** "12.5%" */
export function percent(share: number): string {
  return `${(share * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })}%`
}

/** For a running clock: without tenths, which would flicker. */
export function runningFor(ms: number): string {
  return ms < 10_000 ? `${Math.max(0, Math.floor(ms / 1_000))} s` : duration(ms)
}

export function between(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Date.parse(to) - Date.parse(from)
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })
const MINUTE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

export function clockTime(iso: string): string {
  return SECONDS.format(new Date(iso))
}

/** A time to the second; with the date unless it is today. */
export function moment(iso: string, now: number): string {
  const date = new Date(iso)
  const time = SECONDS.format(date)
  return new Date(now).toDateString() === date.toDateString() ? time : `${DAY.format(date)}, ${time}`
}

/** The time if it is today, else the date. */
export function whenShort(iso: string, now: number): string {
  const date = new Date(iso)
  return new Date(now).toDateString() === date.toDateString() ? TIME.format(date) : DAY.format(date)
}

/** Date and time to the minute. */
export function whenToTheMinute(iso: string): string {
  return MINUTE.format(new Date(iso))
}

export function whenFull(iso: string): string {
  return FULL.format(new Date(iso))
}

export function bytes(count: number): string {
  if (count < 1_000) return `${count} B`
  if (count < 1_000_000) return `${Math.round(count / 1_000)} kB`
  return `${(count / 1_000_000).toFixed(1)} MB`
}

/** Title of a run: its text, else its recipe. */
export function titleOf(job: Job): string {
  return textOf(job) ?? (job.preset === null ? sourceOf(job) : humanize(job.preset.replaceAll('-', '_')))
}

/** The requested model, deployment or version. */
export function sourceOf(job: Job): string {
  const [name, digits] = job.version?.split(':') ?? []
  return job.deployment ?? job.model ?? (digits ? name : name?.slice(0, 12)) ?? 'unknown model'
}

export function shortSourceOf(job: Job): string {
  return job.preset ?? sourceOf(job).split('/').at(-1) ?? ''
}

/** The path of a file on this service, as an input refers to it. Nothing is loaded from other hosts. */
export function isOwnFile(text: string): boolean {
  return /^\/v1\/uploads\/[\w-]+$/.test(text)
}

/** Readable field names: `num_outputs` -> "Number of outputs". */
export function humanize(name: string): string {
  const title = name.replaceAll('_', ' ').trim().replace(/^num /, 'number of ')
  return title.charAt(0).toUpperCase() + title.slice(1)
}

export function plain(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Width over height of the requested picture; null when the input does not set it. */
export function expectedRatio(job: Job): number | null {
  const input = job.input ?? {}
  const ratio = typeof input['aspect_ratio'] === 'string' ? /^(\d+):(\d+)$/.exec(input['aspect_ratio']) : null
  if (ratio) return Number(ratio[1]) / Number(ratio[2])
  const { width, height } = input
  if (typeof width === 'number' && typeof height === 'number' && width > 0 && height > 0) return width / height
  return null
}
