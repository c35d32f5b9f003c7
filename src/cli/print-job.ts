import type { Batch, Explanation, Forecast, Job } from '../client/types.ts'
import { printLine, printText } from './terminal.ts'
import { batchLine, credits, labelOf, nameOf, secondsBetween, span, stateOf } from './format.ts'

/** Results of commands on stdout. */

/** One document: the job, and where its files were saved. */
export const withSaved = (job: Job, saved: readonly string[] | null): object =>
  saved === null ? job : { ...job, saved }

/** Result of a job: its text, or the URLs of its files. */
function resultOf(job: Job): string[] {
  if (job.artifacts.length > 0) return job.artifacts.map(({ url }) => url)
  if (job.output === null) return []
  return [typeof job.output === 'string' ? job.output : JSON.stringify(job.output)]
}

/** A text keeps its lines. */
export function printResult(job: Job): void {
  for (const part of resultOf(job)) printText(`${part}\n`)
}

/** Summary of the completion in one line. */
export function endOf(job: Job): string {
  const took = span(secondsBetween(job.created_at, job.completed_at))
  const cost = job.cost?.captured ? `, ${credits(job.cost.captured)} credits` : ''
  const why = job.error ? `: ${job.error.message}` : ''
  return `${job.id} ${stateOf(job)} after ${took}${cost}${why}`
}

/** Names and values; a value that is absent has no line. */
export function printTable(rows: readonly (readonly [string, string | null])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, value] of rows) if (value !== null && value !== '') printLine(`${name.padEnd(width)}  ${value}`)
}

export function printJob(job: Job): void {
  printTable([
    ['id', job.id],
    ['status', stateOf(job)],
    ['waits for', job.waiting_for?.detail ?? null],
    ['start', forecastOf(job.forecast)],
    ['target', nameOf(job)],
    ['user', job.user],
    ['batch', job.batch],
    ['prediction', job.prediction_id],
    ['attempt', String(job.attempt)],
    ['created', job.created_at],
    ['completed', job.completed_at],
    ['took', job.completed_at === null ? null : span(secondsBetween(job.created_at, job.completed_at))],
    ['credits', job.cost === null ? null : credits(job.cost.captured ?? job.cost.held)],
    ['error', job.error?.message ?? null],
    ['input', job.input === null ? null : JSON.stringify(job.input)],
  ])
  printResult(job)
}

export function printBatch(batch: Batch, jobs: readonly Job[]): void {
  printTable([
    ['id', batch.id],
    ['status', batchLine(batch)],
    ['stopped by', batch.stopped],
    ['created', batch.created_at],
    ['completed', batch.completed_at],
    ['ends about', batch.estimated_end_at],
    ['credits', batch.cost === null ? null : credits(batch.cost.captured)],
  ])
  for (const job of jobs) printLine(jobLine(job))
}

/** `5 s to 12 s` */
const rangeOf = ({ p50, p90 }: { p50: number; p90: number }): string => `${span(p50)} to ${span(p90)}`

/** Position and expected start. */
function forecastOf(forecast: Forecast | null | undefined): string | null {
  if (!forecast) return null
  const { position, starts_in } = forecast
  const ahead = position === null ? [] : [position === 0 ? 'next' : `${position} before it`]
  return [...ahead, ...(starts_in === null ? [] : [`starts in ${rangeOf(starts_in)}`])].join(', ') || null
}

/** What a submission would do. */
export function printExplanation({ jobs, runs, cost, ...explained }: Explanation): void {
  const { budgets, limits, accounts, waiting_for, forecast, last_forecast } = explained
  printTable([
    ['jobs', String(jobs)],
    ...runs.map(({ jobs: count, preset, deployment, model, version, priority }): [string, string] => [
      'runs',
      `${count} x ${preset ?? deployment ?? model ?? version ?? ''} (${priority})`,
    ]),
    ['credits', cost.unpriced === jobs ? null : credits(cost.hold)],
    ['without a price', cost.unpriced === 0 ? null : String(cost.unpriced)],
    ['balance', cost.balance === null ? null : `${credits(cost.balance)}, then ${credits(cost.balance_after ?? 0)}`],
    ...budgets.map(({ title, id, used_after, limit }): [string, string] => [
      'budget',
      `${title || id}: ${credits(used_after)} of ${credits(limit)}`,
    ]),
    ...limits.map(({ name, scope, used, limit }): [string, string] => [
      'limit',
      `${name} ${scope}: ${used} of ${limit}`,
    ]),
    ['accounts', accounts.join(', ')],
    ['waits for', waiting_for?.detail ?? null],
    ['start', forecastOf(forecast)],
    ['last start', jobs === 1 ? null : forecastOf(last_forecast)],
    ['run time', forecast?.run_time ? rangeOf(forecast.run_time) : null],
  ])
}

/** A job in one line. */
export const jobLine = (job: Job): string =>
  [job.position === null ? '-' : String(job.position + 1), job.id, stateOf(job), labelOf(job)].join('  ')
