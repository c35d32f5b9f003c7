import type { CallToolResult } from '@modelcontextprotocol/server'
import { ApiError, isNetworkError } from '../client/client.ts'
import { ERRORS, type ErrorCode } from '../shared/errors/service-error.ts'

/** Errors of tools, for a reader that can act: the code of the API, what is wrong, and what to do. */

const LATER = 'Try again later.'
const OPERATOR = 'You cannot change this. Report it to the user; an operator of genqueue has to act.'

const TO_DO: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'Correct the fields that `errors` names. `presets` with a name shows the schema of its input.',
  insufficient_credits: 'Nothing was submitted. Choose a cheaper preset, or ask the user to have credits granted.',
  budget_exceeded:
    'Nothing was submitted. Choose a cheaper preset, wait until the budget resets, or ask the user to have it raised.',
  no_price: 'Submit by a preset that has a price; `presets` lists them.',
  raw_models_disabled: 'Submit by a preset; `presets` lists them.',
  forbidden: 'The API key lacks a scope. Ask the user for a key that has it.',
  unauthenticated: 'Ask the user to check the API key of this server.',
  tenant_suspended: OPERATOR,
  not_found: 'Check the id. `list` finds the jobs of this key, also by label and metadata.',
  preset_not_found: 'Call `presets` without a name for all names.',
  not_cancelable: 'The job is over. Read it with `get`.',
  idempotency_key_reused: 'Repeat the first submission exactly, or use a new key for a different job.',
  too_many_queued: 'Wait for earlier jobs with `wait`, then submit again with the same idempotency_key.',
  rate_limited: 'Wait, then repeat the call. `wait` needs fewer calls than `get`.',
  too_much_stored: 'Ask the user to have old jobs deleted, or wait until they expire.',
  accept_unknown: 'Repeat the submission with the same idempotency_key: it returns the job if there is one.',
  deployment_lost: OPERATOR,
  storage_full: OPERATOR,
}

interface Failure {
  code: string
  message: string
  what_to_do: string
  retryable: boolean
  /** s; after which the same call may succeed. */
  retry_after?: number
  /** Credits that are missing. */
  missing?: number
  errors?: { pointer: string; detail: string }[]
  /** Key of the submission: repeat it with this one. */
  idempotency_key?: string
}

const isKnown = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

/** The error result of a tool. Throws what is no refusal of the service, such as an abort. */
export function refusal(error: unknown): CallToolResult {
  const failure = failureOf(error)
  if (failure === null) throw error
  return { isError: true, content: [{ type: 'text', text: JSON.stringify(failure) }] }
}

function failureOf(error: unknown): Failure | null {
  if (isNetworkError(error))
    return {
      code: 'unreachable',
      message: error.message,
      what_to_do: 'Try again later. Jobs that were accepted run on. Repeat a submission with the same idempotency_key.',
      retryable: true,
      ...keyOf(error),
    }
  if (!(error instanceof ApiError)) return null
  const { code, message, errors, retryAfter, problem } = error
  const retryable = isKnown(code) ? ERRORS[code].retryable : error.status >= 500
  return {
    code,
    message,
    what_to_do: (isKnown(code) ? TO_DO[code] : undefined) ?? (retryable ? LATER : OPERATOR),
    retryable,
    ...(retryAfter === null ? {} : { retry_after: retryAfter }),
    ...(problem.missing === undefined ? {} : { missing: problem.missing / 1_000_000 }),
    ...(errors.length === 0 ? {} : { errors: errors.map(({ pointer, detail }) => ({ pointer, detail })) }),
    ...keyOf(error),
  }
}

const keyOf = ({ idempotencyKey }: { idempotencyKey: string | null }): Pick<Failure, 'idempotency_key'> =>
  idempotencyKey === null ? {} : { idempotency_key: idempotencyKey }
