import { STATUS_CODES } from 'node:http'
import { isStorageTrouble } from '../shared/artifacts/artifact-store.ts'
import { ERRORS, ServiceError } from '../shared/errors.ts'
import { DeploymentLostError } from '../shared/jobs/commit-script.ts'
import { NewerRecordError } from '../shared/jobs/record-codec.ts'
import { isOutOfMemory, isRedisTrouble, isSurelyNotSent } from '../shared/redis/trouble.ts'
import type { ProblemResponse } from './http.ts'

/** A body can hold thousands of mistakes; the first few are enough to mend it. */
export const MAX_FIELDS = 20

/** The one builder of error bodies (RFC 9457); a test greps for others. */
export function errorResponse(error: ServiceError): ProblemResponse {
  const { status, title } = ERRORS[error.code]
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(error.retryAfter === null ? {} : { 'retry-after': String(Math.ceil(error.retryAfter)) }),
      ...(error.fileBytes === null ? {} : { 'content-range': `bytes */${error.fileBytes}` }),
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
    body: {
      type: `urn:genqueue:error:${error.code}`,
      title: title || STATUS_CODES[status] || 'Error',
      status,
      detail: error.message,
      code: error.code,
      ...(error.limit === null ? {} : { limit: error.limit }),
      ...(error.missing === null ? {} : { missing: error.missing }),
      ...(error.keyId === null ? {} : { key_id: error.keyId }),
      ...(error.fields.length > 0 ? { errors: error.fields.slice(0, MAX_FIELDS) } : {}),
    },
  }
}

/** What a client is told of an error that is not its own: nothing but the kind. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  if (isRedisTrouble(error))
    return new ServiceError(
      'unavailable',
      isSurelyNotSent(error)
        ? 'The queue does not answer. Nothing was changed.'
        : 'The queue did not answer in time. Whether a change was made is not known: look before you repeat it, or repeat it with the same Idempotency-Key.',
      { retryAfter: 2, cause: error },
    )
  if (isStorageTrouble(error))
    return new ServiceError(
      'storage_unavailable',
      'The place where files are kept fails. The operator has to look at its disk or bucket.',
      { retryAfter: 15, cause: error },
    )
  if (error instanceof DeploymentLostError)
    return new ServiceError('unavailable', 'The data of this deployment are missing. Nothing was accepted.', {
      retryAfter: 30,
      cause: error,
    })
  if (isOutOfMemory(error))
    return new ServiceError('capacity', 'The queue is full. Jobs that were accepted go on.', {
      retryAfter: 30,
      cause: error,
    })
  // While old and new processes run side by side: another one can answer, and a webhook comes again.
  if (error instanceof NewerRecordError)
    return new ServiceError('unavailable', 'A newer release wrote this; this process cannot read it.', {
      retryAfter: 2,
      cause: error,
    })
  return new ServiceError('internal', 'The request could not be handled.', { cause: error })
}
