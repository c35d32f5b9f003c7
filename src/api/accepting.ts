import type { OverBudget } from '../shared/credits/rules/spending-budget.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import { InputFilesError } from '../shared/inputs/inputs.ts'
import { tooMuchStored, type StoredBeyond } from '../shared/limits/rules/stored.ts'
import { NotDurableError } from '../shared/redis/durability.ts'
import { isRedisTrouble, isSurelyNotSent } from '../shared/redis/trouble.ts'
import { invalidRequest } from './schemas.ts'

/** Shared parts of accepting jobs and batches. */

export const queueFull = (): ServiceError =>
  new ServiceError('capacity', 'The queue is full. Accepted jobs continue.', { retryAfter: 30 })

/** Outcome of an accept; throws `accept_unknown` when the queue did not respond and may have accepted it. */
export async function knownOutcome<T>(id: string, outcome: Promise<T>): Promise<T> {
  try {
    return await outcome
  } catch (error) {
    if (!(error instanceof NotDurableError) && (!isRedisTrouble(error) || isSurelyNotSent(error))) throw error
    throw new ServiceError(
      'accept_unknown',
      `The queue did not respond in time; ${id} may or may not have been accepted. Read it, or repeat the request with the same Idempotency-Key.`,
      { retryAfter: 3, cause: error },
    )
  }
}

/** Converts errors of input files to field errors of the request; other errors are unchanged. */
export function inRequest(error: unknown, placeOf: (job: number) => string): unknown {
  if (!(error instanceof InputFilesError)) return error
  return invalidRequest(error.wrong.map(({ job, field }) => ({ ...field, pointer: placeOf(job) + field.pointer })))
}

/** Whether certainly nothing was accepted. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof InputFilesError || (error instanceof ServiceError && error.code !== 'accept_unknown')

/** The same for a retry, whose files can have been removed. */
export const inRetry = (error: unknown): unknown =>
  error instanceof InputFilesError
    ? new ServiceError('not_retryable', 'Files of the input were removed. Submit the job again.', { cause: error })
    : error

/** Error for a refused accept. */
export function refusedAccept(
  result:
    | { kind: 'key_reused' | 'too_late' | 'beyond' }
    | { kind: 'full'; limit: number }
    | { kind: 'over_quota'; beyond: StoredBeyond }
    | ({ kind: 'over_budget' } & OverBudget)
    | { kind: 'short'; missing: number },
): ServiceError {
  switch (result.kind) {
    case 'key_reused':
      return new ServiceError('idempotency_key_reused', 'The Idempotency-Key was used with another body.')
    case 'too_late':
      return new ServiceError('unavailable', 'The queue responded too late. Nothing was accepted.', { retryAfter: 2 })
    case 'full':
      return new ServiceError(
        'too_many_queued',
        `Too many jobs are queued. The limit of the tenant is ${result.limit}.`,
        {
          limit: 'queued_jobs',
          retryAfter: 10,
        },
      )
    case 'over_quota':
      return tooMuchStored(result.beyond)
    case 'over_budget':
      return budgetExceeded(result)
    case 'beyond':
      return new ServiceError(
        'credits_not_countable',
        'The hold would exceed the largest exact amount. Balance, held and captured are limited to 2^52 micro-credits together.',
      )
    case 'short':
      return new ServiceError('insufficient_credits', `${inCredits(result.missing)} credits are missing.`, {
        missing: result.missing,
      })
  }
}

const SUBJECTS = {
  tenant: 'of this tenant',
  key: 'of this key',
  preset: 'of the preset',
  user: 'of this user',
} as const

/** What a budget of all tenants counts is not shown to one of them. */
function budgetExceeded({ charge: { budget, period, amount }, used }: OverBudget): ServiceError {
  const { id, title, scope, tenant, limit, period: each } = budget
  const missing = used + amount - limit
  const until = new Date(period.until).toISOString()
  const name = title === '' ? id : `"${title}" (${id})`
  return new ServiceError(
    'budget_exceeded',
    `The budget ${name} ${SUBJECTS[scope]} for each ${each} has no room: ${inCredits(missing)} credits are missing. It resets at ${until}.`,
    { budget: id, resetsAt: period.until, missing, ...(tenant === null ? {} : { allowed: limit, used }) },
  )
}

/** Exact decimal credits of micro-credits: `0.007` for 7000. */
const inCredits = (micro: number): string =>
  (micro / 1_000_000).toLocaleString('en-US', { maximumFractionDigits: 6, useGrouping: false })
