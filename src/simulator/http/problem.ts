import type { InvalidField } from '../models/validate-input.ts'
import type { Reply } from './reply.ts'

/** Builds every error body of the API: the subset of RFC 7807 that Replicate uses. */

interface Problem {
  title?: string
  detail: string
  status: number
  invalid_fields?: InvalidField[]
  retry_after?: number
}

const problem = (body: Problem, headers: Record<string, string> = {}): Reply => ({
  kind: 'json',
  status: body.status,
  body,
  headers,
  problem: true,
})

export const unauthenticated = (why: 'no token' | 'invalid token' = 'invalid token') =>
  problem({
    title: 'Unauthenticated',
    detail: `You did not pass ${why === 'no token' ? 'an' : 'a valid'} authentication token`,
    status: 401,
  })

export const insufficientCredit = () =>
  problem({
    title: 'Insufficient credit',
    detail:
      'You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to purchase credit. Once you purchase credit, please wait a few minutes before trying again.',
    status: 402,
  })

export const forbidden = () =>
  problem({ title: 'Forbidden', detail: 'You do not have permission to perform this action.', status: 403 })

const NOT_FOUND = { detail: 'The requested resource could not be found.', status: 404 }

/** The body as it was seen in 2024 and 2025; the habit `not_found_body` changes it. */
export const notFound = () => problem(NOT_FOUND)

export const titledNotFound = () => problem({ title: 'Not found', ...NOT_FOUND })

/** As the address of a version answers whose id is none. */
export const shortNotFound = (): Reply => ({
  kind: 'json',
  status: 404,
  body: { detail: 'Not found.' },
  headers: {},
  problem: true,
})

/** The files API documents its own text. */
export const fileNotFound = () => problem({ detail: 'File not found', status: 404 })

/** Of a replay. */
export const notRecorded = (method: string, url: string) =>
  problem({
    title: 'Not recorded',
    detail: `The recording has no answer to ${method} ${url} with this body.`,
    status: 404,
  })

export const unknownDestination = () =>
  problem({ detail: 'The specified training destination does not exist', status: 404 })

/** For what may not be done now. */
export const refused = (status: 400 | 409, detail: string) => problem({ detail, status })

export const alreadyOver = (status: number) => problem({ detail: 'The prediction has already completed', status })

export const fileTooLarge = (limit: number) =>
  problem({ detail: `Files must be less than ${Math.round(limit / 1024 / 1024)}MB in size`, status: 413 })

export const methodNotAllowed = (method: string, allowed: readonly string[]) =>
  problem({ detail: `Method "${method}" not allowed.`, status: 405 }, { allow: allowed.join(', ') })

export const malformed = (detail: string) => problem({ title: 'Bad request', detail, status: 400 })

export const invalidQuery = (detail: string) => problem({ detail, status: 400 })

export const tooLarge = () =>
  problem({ title: 'Request too large', detail: 'The request body is too large', status: 413 })

export const invalidVersion = () =>
  problem({
    title: 'Invalid version or not permitted',
    detail: "The specified version does not exist (or perhaps you don't have permission to use it?)",
    status: 422,
  })

/** Replicate's format: one "- field: what" line for each field. */
export const invalidInput = (fields: InvalidField[]) =>
  problem({
    detail: fields.map(({ field, description }) => `- ${field === '' ? '' : `${field}: `}${description}\n`).join(''),
    status: 422,
    title: 'Input validation failed',
    invalid_fields: fields,
  })

export const invalidHeader = (name: string, detail: string) =>
  problem({ title: `Invalid ${name} header`, detail, status: 422 })

export const unprocessable = (title: string, fields: { field: string; description: string }[]) =>
  problem({
    title,
    detail: fields.map(({ field, description }) => `${field}: ${description}`).join('; '),
    status: 422,
    invalid_fields: fields.map((one) => ({ type: 'invalid', ...one })),
  })

export type RetryHint = 'header' | 'body' | 'text' | 'none'

/**
 * @param hints where the response states the waiting time
 * @param reason of a lower limit than usual
 */
export function throttled(seconds: number, hints: readonly RetryHint[], reason?: string): Reply {
  const inText = hints.includes('text') || hints.includes('body')
  const sentences = [
    'Request was throttled.',
    ...(reason === undefined ? [] : [reason]),
    ...(inText ? [`Your rate limit resets in ~${seconds}s.`] : []),
  ]
  return problem(
    {
      detail: sentences.join(' '),
      status: 429,
      ...(hints.includes('body') ? { retry_after: seconds } : {}),
    },
    hints.includes('header') ? { 'retry-after': String(seconds) } : {},
  )
}

/** The reason of limited creates. `usd`: the credit below which they are limited; null: no payment method. */
export const reducedLimit = (perMinute: number, usd: number | null): string => {
  const until =
    usd === null ? 'until you add a payment method' : `while you have less than $${usd.toFixed(1)} in credit`
  return `Your rate limit for creating predictions is reduced to ${perMinute} requests per minute with a burst of 1 requests ${until}.`
}

export const serverError = (status: number) =>
  problem({ title: 'Internal server error', detail: 'An unexpected error occurred.', status })

/** For statuses without their own function above. */
export const otherStatus = (status: number) => problem({ detail: `Simulated response ${status}`, status })
