import type { ErrorCode, Job, Problem } from './types.ts'

/** Code of a refused request; `unexpected_answer` is a response that does not come from this API. A newer service may send others. */
export type ApiErrorCode = ErrorCode | 'unexpected_answer' | (string & {})

/** The service returned a problem document, or a response that is not from this API (code `unexpected_answer`). */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: ApiErrorCode
  readonly status: number
  readonly problem: Problem
  /** Invalid fields, by JSON pointer. */
  readonly errors: NonNullable<Problem['errors']>
  /** s; after which the same request may succeed, when the service says so. */
  readonly retryAfter: number | null
  /** Key of the submission that was refused: repeat it with the same key. null for other requests. */
  idempotencyKey: string | null = null

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(problem.detail || problem.title)
    this.problem = problem
    this.code = problem.code
    this.status = problem.status
    this.errors = problem.errors ?? []
    this.retryAfter = retryAfter
  }
}

/** No response arrived; the outcome is unknown. Repeating with the same idempotency key is safe. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError'
  /** The error of `fetch`. */
  override readonly cause: unknown
  /** Key of the submission whose outcome is unknown: repeat it with the same key. null for other requests. */
  idempotencyKey: string | null = null

  /** `baseUrl`: origin of the service; '' for that of the page. */
  constructor(cause: unknown, baseUrl = '') {
    super(`${baseUrl || 'The service'} cannot be reached.`)
    this.cause = cause
  }
}

/** `run` waited for a job that failed or was canceled, or its text was streamed. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError'
  /** The final job: `job.error` says whether a retry can help, and whether Replicate bills it. */
  readonly job: Job
  /** The code of `job.error` (docs/errors.md, Job errors). */
  readonly code: string

  constructor(job: Job) {
    super(job.error?.message || `The job was ${job.status}.`)
    this.job = job
    this.code = job.error?.code ?? job.status
  }
}

/** The prediction was restarted, so the text that was streamed until now is not the beginning of the output. */
export class OutputRestartedError extends Error {
  override readonly name = 'OutputRestartedError'

  constructor() {
    super('The prediction was restarted, and its text began again. Read the output when the job is final.')
  }
}

// By name, not by class: a program can hold this package twice, as an ES module and as CommonJS.
const isNamed = (error: unknown, name: string): error is Error & { code: unknown } =>
  error instanceof Error && error.name === name

/**
 * Whether the service refused the request, with one of the codes if any are given:
 * `if (isApiError(error, 'insufficient_credits')) …`
 */
export function isApiError<Code extends ApiErrorCode>(
  error: unknown,
  ...codes: Code[]
): error is ApiError & { readonly code: Code } {
  return isNamed(error, 'ApiError') && (codes.length === 0 || codes.some((code) => code === error.code))
}

/** Whether no response arrived, so that the outcome is unknown. */
export function isNetworkError(error: unknown): error is NetworkError {
  return isNamed(error, 'NetworkError')
}

/** Whether `run` ended with a job that did not succeed, with one of the codes if any are given. */
export function isJobFailed(error: unknown, ...codes: string[]): error is JobFailedError {
  return isNamed(error, 'JobFailedError') && (codes.length === 0 || codes.some((code) => code === error.code))
}

export async function problemOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null)
  const problem: Partial<Problem> = typeof body === 'object' && body !== null ? body : {}
  return new ApiError(
    {
      ...problem,
      type: problem.type ?? 'about:blank',
      title: problem.title ?? `HTTP ${response.status}`,
      detail: problem.detail ?? `The service returned ${response.status} without a reason.`,
      code: problem.code ?? 'unexpected_answer',
      status: response.status,
    },
    retryAfterOf(response),
  )
}

/** s; the header contains seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterOf(response: Response): number | null {
  const text = response.headers.get('retry-after')
  if (text === null) return null
  const seconds = /^\d+$/.test(text.trim()) ? Number(text) : (Date.parse(text) - Date.now()) / 1000
  return Number.isNaN(seconds) ? null : Math.max(0, seconds)
}
