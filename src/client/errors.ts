import type { Problem } from './types.ts'

/** The service returned a problem document, or a response that is not from this API (code `unexpected_answer`). */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  readonly problem: Problem
  readonly errors: NonNullable<Problem['errors']>
  /** s; after which the same request may succeed, when the service says so. */
  readonly retryAfter: number | null

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(problem.detail || problem.title)
    this.name = 'ApiError'
    this.problem = problem
    this.code = problem.code
    this.status = problem.status
    this.errors = problem.errors ?? []
    this.retryAfter = retryAfter
  }
}

/** No response arrived; the outcome is unknown. Repeating with the same idempotency key is safe. */
export class NetworkError extends Error {
  /** `baseUrl`: origin of the service; '' for that of the page. */
  constructor(cause: unknown, baseUrl = '') {
    super(`${baseUrl || 'The service'} cannot be reached.`, { cause })
    this.name = 'NetworkError'
  }
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
