/**
 * All errors that a client can receive, by their stable code. `retryable`: whether the same request can succeed later.
 * docs/errors.md documents them (a test compares the two).
 */
export const ERRORS = {
  invalid_json: { status: 400, title: 'The body is not valid JSON', retryable: false },
  body_too_complex: { status: 400, title: 'The body is nested too deeply or has too many values', retryable: false },
  invalid_multipart: { status: 400, title: 'The body is not valid multipart/form-data', retryable: false },
  invalid_idempotency_key: { status: 400, title: 'The idempotency key is not valid', retryable: false },
  invalid_header: { status: 400, title: 'A header is not valid', retryable: false },
  unauthenticated: { status: 401, title: 'No valid credentials', retryable: false },
  insufficient_credits: { status: 402, title: 'Not enough credits', retryable: true },
  forbidden: { status: 403, title: 'Not allowed', retryable: false },
  tenant_suspended: { status: 403, title: 'The tenant is suspended', retryable: false },
  no_price: { status: 403, title: 'The job has no price', retryable: false },
  raw_models_disabled: { status: 403, title: 'Jobs need a preset', retryable: false },
  origin_not_allowed: { status: 403, title: 'Pages of this origin are not allowed', retryable: false },
  cross_site: { status: 403, title: 'The request comes from another site', retryable: false },
  invalid_signature: { status: 401, title: 'The signature is missing or wrong', retryable: false },
  link_expired: { status: 403, title: 'The link is wrong or has expired', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  model_not_found: { status: 404, title: 'The model does not exist', retryable: false },
  preset_not_found: { status: 404, title: 'The preset does not exist', retryable: false },
  method_not_allowed: { status: 405, title: 'The method is not allowed here', retryable: false },
  request_timeout: { status: 408, title: 'The body was not received in time', retryable: true },
  not_cancelable: { status: 409, title: 'The job cannot be canceled any more', retryable: false },
  not_deletable: { status: 409, title: 'The job cannot be deleted yet', retryable: true },
  not_retryable: { status: 409, title: 'The job cannot be retried', retryable: false },
  upload_in_use: { status: 409, title: 'Jobs use the upload', retryable: true },
  tenant_exists: { status: 409, title: 'The tenant exists already', retryable: false },
  balance_too_low: { status: 409, title: 'The balance is too low', retryable: true },
  credits_not_countable: { status: 409, title: 'The balance would be too large', retryable: false },
  key_already_made: { status: 409, title: 'The request made a key before', retryable: false },
  key_not_active: { status: 409, title: 'The key is not active', retryable: false },
  body_too_large: { status: 413, title: 'The body is too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'The body is not of an accepted type', retryable: false },
  range_not_satisfiable: { status: 416, title: 'The range is outside of the file', retryable: false },
  invalid_request: { status: 422, title: 'The request is not valid', retryable: false },
  idempotency_key_reused: { status: 422, title: 'The idempotency key was used with another body', retryable: false },
  too_many_queued: { status: 429, title: 'Too many jobs are waiting', retryable: true },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  too_many_bodies: { status: 429, title: 'Too many large bodies at once', retryable: true },
  too_many_streams: { status: 429, title: 'Too many event streams are open', retryable: true },
  too_many_attempts: { status: 429, title: 'Too many failed attempts', retryable: true },
  too_much_stored: { status: 429, title: 'The tenant has reached its limit of stored files', retryable: true },
  internal: { status: 500, title: 'Internal error', retryable: true },
  upstream_unavailable: { status: 503, title: 'Could not read from Replicate', retryable: true },
  storage_unavailable: { status: 503, title: 'Files cannot be stored or read', retryable: true },
  deployment_lost: { status: 503, title: 'The data of this deployment are missing', retryable: true },
  unavailable: { status: 503, title: 'A required component does not respond', retryable: true },
  accept_unknown: { status: 503, title: 'The outcome of the accept is unknown', retryable: true },
  storage_full: { status: 507, title: 'The disk has reached its reserve', retryable: true },
  capacity: { status: 503, title: 'No room for new work', retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>

export type ErrorCode = keyof typeof ERRORS

/** Error of one part of a request. `pointer` is a JSON pointer into the body, e.g. `/input/prompt`. */
export interface FieldError {
  pointer: string
  code: string
  detail: string
}

/** Redis responds but does not hold the deployment that this process started with. */
export const deploymentLost = (): ServiceError =>
  new ServiceError(
    'deployment_lost',
    'Redis was emptied, or holds another deployment. Credentials cannot be checked and nothing was changed. An operator must restore its data or correct REDIS_URL.',
    { retryAfter: 30 },
  )

export class ServiceError extends Error {
  override name = 'ServiceError'
  readonly code: ErrorCode
  readonly fields: FieldError[]
  /** s; sent as Retry-After */
  readonly retryAfter: number | null
  /** Name of the limit that was reached. */
  readonly limit: string | null
  /** Value of that limit, and the usage. */
  readonly allowed: number | null
  readonly used: number | null
  /** Missing micro-credits. */
  readonly missing: number | null
  /** The id of the key that was made before. */
  readonly keyId: string | null
  /** Size of the file of a range request; sent as Content-Range. */
  readonly fileBytes: number | null

  constructor(
    code: ErrorCode,
    detail: string,
    options: {
      fields?: FieldError[]
      retryAfter?: number
      limit?: string
      allowed?: number
      used?: number
      missing?: number
      keyId?: string
      fileBytes?: number
      cause?: unknown
    } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fields = options.fields ?? []
    this.retryAfter = options.retryAfter ?? null
    this.limit = options.limit ?? null
    this.allowed = options.allowed ?? null
    this.used = options.used ?? null
    this.missing = options.missing ?? null
    this.keyId = options.keyId ?? null
    this.fileBytes = options.fileBytes ?? null
  }
}
