import type { CallOptions } from './signals.ts'
import type { StreamHandlers, StreamOptions } from './subscription.ts'
import type { Batch, Job, JobStatus, LedgerKind, Page } from './types.ts'

export interface PageOptions {
  /** 1 to 100; 20 by default */
  limit?: number | undefined
  /** `next_cursor` of the previous page. */
  cursor?: string | undefined
}

/** `lasting`: links to files that are valid as long as the files; otherwise for an hour. */
export interface LinkOptions {
  links?: 'lasting' | undefined
}

/** Jobs that match all of them. */
export interface JobFilters {
  status?: JobStatus | undefined
  preset?: string | undefined
  batch?: string | undefined
  /** Jobs whose metadata have these values. */
  metadata?: { readonly [key: string]: string | number | boolean | undefined } | undefined
  user?: string | undefined
}

/** With a filter by `preset` or `batch` a page can be short, even empty, and still have a `next_cursor`. */
export interface ListFilters extends JobFilters {
  predictionId?: string | undefined
  /** A date, or a time in RFC 3339. */
  createdAfter?: Date | string | undefined
  createdBefore?: Date | string | undefined
}

export interface ListOptions extends ListFilters, PageOptions, LinkOptions, CallOptions {}

/** The first page for `await`; every item of this and all later pages for `for await`. */
export interface PagedList<T> extends Promise<Page<T>>, AsyncIterable<T> {}

export interface LedgerOptions extends PageOptions, CallOptions {
  kind?: LedgerKind | undefined
  /** Only entries of this job. */
  job?: string | undefined
}

export interface SpendingOptions extends CallOptions {
  /** Days of UTC, such as `2026-01-31`; by default the last 30. */
  from?: string | undefined
  to?: string | undefined
  by?: 'day' | 'preset' | undefined
}

export interface SubmitOptions extends CallOptions {
  /** Repeating a submission with the same key returns the same job. Generated when absent. */
  idempotencyKey?: string | undefined
}

export interface RetryOptions extends SubmitOptions {
  /** The same version with the same seed, where they are known. */
  pinned?: boolean | undefined
}

export interface WaitOptions<T> extends CallOptions {
  /** Called with each state, the last one too. What it throws ends the call, which rejects with it. */
  onUpdate?: ((now: T) => void) | undefined
}

export interface RunOptions<T> extends SubmitOptions, WaitOptions<T> {}

export interface SubscribeHandlers<T> extends StreamHandlers {
  /** Called with each state, the last one too. */
  onUpdate: (now: T) => void
}

export type Change =
  | { type: 'job'; job: Job; cursor: string | null }
  /** Changes were missed: read the list again. */
  | { type: 'reset'; cursor: string | null }

/** Filters are applied by the service. With `status`, a change is one after which a job has it. */
export interface ChangesOptions extends JobFilters, StreamOptions {
  /** For operators: the jobs of this tenant, or of `'all'` tenants. By default those of the key's tenant. */
  tenant?: string | undefined
  /** The cursor after which to begin: an event id that `onCursor` or a change gave. By default from now on. */
  since?: string | null | undefined
  /** Called when a change has been handled, with the cursor to continue after it. */
  onCursor?: ((cursor: string) => void) | undefined
}

export interface ChangesHandlers extends ChangesOptions, StreamHandlers {
  onJob: (job: Job) => void
  /** Changes were missed: read the list again. */
  onReset?: (() => void) | undefined
}

/** Logs of the model, as far as they are known: with `truncated` their beginning is missing. */
export interface KnownLogs {
  text: string
  truncated: boolean
}

export interface OutputOptions extends StreamOptions {
  /**
   * The prediction was restarted, and the text begins again: discard what came until now. Without this handler the iteration
   * throws an OutputRestartedError.
   */
  onRestart?: (() => void) | undefined
  /** Called with each state of the job, the last one too. */
  onJob?: ((job: Job) => void) | undefined
  /** Called when the model has written logs. They use the read budget of the service. */
  onLogs?: ((logs: KnownLogs) => void) | undefined
}

/** The pieces of a text as they are written, and at the end the final job. */
export type OutputStream = AsyncGenerator<string, Job, undefined>

/** A job whose output can be followed: `for await (const chunk of job.stream())`. */
export type StreamableJob = Job & {
  /** Not a property of the data: a copy of the job does not have it. */
  stream(options?: OutputOptions): OutputStream
}

export interface UploadOptions extends CallOptions {
  /** Name of the file; that of a `File` by default. */
  name?: string | undefined
}

export interface Readiness {
  status: string
  version: string | null
  /** By name; shapes are the service's own. */
  checks: Record<string, unknown>
}

/** Whether nothing about the job changes any more. */
export function isFinal(job: Pick<Job, 'status'>): boolean {
  return job.status === 'succeeded' || job.status === 'failed' || job.status === 'canceled'
}

/** Whether all jobs of the batch are final. */
export function isComplete(batch: Pick<Batch, 'completed_at'>): boolean {
  return batch.completed_at !== null
}
