import { STATUS_CODES } from 'node:http'
import { isStorageTrouble } from '../shared/artifacts/artifact-store.ts'
import { ERRORS, ServiceError } from '../shared/errors/service-error.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import { isOutOfMemory, isRedisTrouble, isSurelyNotSent } from '../shared/redis/trouble.ts'
import type { ProblemResponse } from './http.ts'
import { DeploymentLostError } from '../shared/jobs/ports.ts'

/** Limit of field errors in a response: a body can have thousands. */
export const MAX_FIELDS = 20

/** The one builder of error bodies (RFC 9457); a test greps for others. */
export function errorResponse(error: ServiceError): ProblemResponse {
  const { status, title } = ERRORS[error.code]
  return {
    status,
    headers: {
      ...error.headers,
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
      ...(error.allowed === null ? {} : { allowed: error.allowed }),
      ...(error.used === null ? {} : { used: error.used }),
      ...(error.missing === null ? {} : { missing: error.missing }),
      ...(error.budget === null ? {} : { budget: error.budget }),
      ...(error.resetsAt === null ? {} : { resets_at: new Date(error.resetsAt).toISOString() }),
      ...(error.keyId === null ? {} : { key_id: error.keyId }),
      ...(error.fields.length > 0 ? { errors: error.fields.slice(0, MAX_FIELDS) } : {}),
    },
  }
}

/** Error for a client after a failure of this service: only its kind. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  if (isRedisTrouble(error))
    return new ServiceError(
      'unavailable',
      isSurelyNotSent(error)
        ? 'The queue does not respond. Nothing was changed.'
        : 'The queue did not respond in time. A change may or may not have been made: check before you repeat it, or repeat it with the same Idempotency-Key.',
      { retryAfter: 2, cause: error },
    )
  if (isStorageTrouble(error))
    return new ServiceError(
      'storage_unavailable',
      'The file storage fails. An operator has to check its disk or bucket.',
      { retryAfter: 15, cause: error },
    )
  if (error instanceof DeploymentLostError)
    return new ServiceError('unavailable', 'The data of this deployment are missing. Nothing was accepted.', {
      retryAfter: 30,
      cause: error,
    })
  if (isOutOfMemory(error))
    return new ServiceError('capacity', 'The queue is full. Accepted jobs continue.', {
      retryAfter: 30,
      cause: error,
    })
  // Occurs while old and new processes run side by side: another process can respond, and Replicate resends webhooks.
  if (error instanceof NewerRecordError)
    return new ServiceError('unavailable', 'A newer release wrote this record; this process cannot read it.', {
      retryAfter: 2,
      cause: error,
    })
  return new ServiceError('internal', 'The request could not be handled.', { cause: error })
}
