/**
 * All errors that a client can receive, by their stable code. `retryable`: whether the same request can succeed later.
 * `meaning`: for readers of docs/errors.md and of the API's document, which are made from this table.
 */
export const ERRORS = {
  invalid_json: {
    status: 400,
    title: 'The body is not valid JSON',
    retryable: false,
    meaning:
      'The body is missing, is not JSON, is not UTF-8, has a byte order mark, has a duplicate key in an object, or ended early. `detail` gives line and column of a syntax error, and the pointer of a duplicate key.',
  },
  body_too_complex: {
    status: 400,
    title: 'The body is nested too deeply or has too many values',
    retryable: false,
    meaning: 'The body has more than 32 levels or more than 10,000 values.',
  },
  invalid_multipart: {
    status: 400,
    title: 'The body is not valid multipart/form-data',
    retryable: false,
    meaning: 'The parts of an upload cannot be separated, or the upload ended early.',
  },
  invalid_idempotency_key: {
    status: 400,
    title: 'The idempotency key is not valid',
    retryable: false,
    meaning: 'Send 1 to 255 printable ASCII characters.',
  },
  invalid_header: {
    status: 400,
    title: 'A header is not valid',
    retryable: false,
    meaning:
      '`Prefer: wait=n` is outside 1 to 60, `Last-Event-ID` is not an id of this stream, or there is a second `Host`.',
  },
  unauthenticated: {
    status: 401,
    title: 'No valid credentials',
    retryable: false,
    meaning:
      'Send `Authorization: Bearer <key>`. A wrong key and an unknown one get the same response. A revoked or expired key is reported as such, because its sender knows the secret.',
  },
  insufficient_credits: {
    status: 402,
    title: 'Not enough credits',
    retryable: true,
    meaning: 'The estimate exceeds the balance; `missing` is the difference in micro-credits.',
  },
  budget_exceeded: {
    status: 402,
    title: 'The budget is used up',
    retryable: true,
    meaning:
      'The estimate does not fit into a [budget](credits.md#budgets) of the tenant, the key, the preset or the user. `budget` names it, and `resets_at` is the end of its period. `allowed`, `used` and `missing` are micro-credits; a budget of all tenants shows only `missing`.',
  },
  forbidden: {
    status: 403,
    title: 'Not allowed',
    retryable: false,
    meaning:
      'The credentials are valid but do not permit this request: the key lacks the scope, or a job token was sent where a key is required.',
  },
  tenant_suspended: {
    status: 403,
    title: 'The tenant is suspended',
    retryable: false,
    meaning: 'An operator has suspended the tenant of the key. Its accepted jobs continue.',
  },
  no_price: {
    status: 403,
    title: 'The job has no price',
    retryable: false,
    meaning:
      "The tenant's credit is limited and the job has no price: a `model`, `version` or `deployment`, or a preset without one. Submit by a preset with a price, or set `UNPRICED_MODELS=allow`.",
  },
  raw_models_disabled: {
    status: 403,
    title: 'Jobs need a preset',
    retryable: false,
    meaning:
      '`RAW_MODELS` is `deny`: submit by a `preset`. Or it is `presets`: submit by a `preset`, or by the name of a model that a preset serves.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'Pages of this origin are not allowed',
    retryable: false,
    meaning: "The origin of the page is in `CORS_ORIGINS` but not in the tenant's own `cors_origins`.",
  },
  cross_site: {
    status: 403,
    title: 'The request comes from another site',
    retryable: false,
    meaning:
      'A cookie was sent by a page of another origin, or the request used a host name that the service does not accept.',
  },
  invalid_signature: {
    status: 401,
    title: 'The signature is missing or wrong',
    retryable: false,
    meaning: 'Webhooks only: the signature, or the token in the URL, is wrong.',
  },
  link_expired: {
    status: 403,
    title: 'The link is wrong or has expired',
    retryable: false,
    meaning:
      'An artifact link has expired or was modified, or the key of a lasting link was rotated. Read the job for a new link.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    retryable: false,
    meaning: 'The path or the object does not exist, or it belongs to another tenant.',
  },
  model_not_found: {
    status: 404,
    title: 'The model does not exist',
    retryable: false,
    meaning: '`/v1/models/...` only: Replicate does not know the model.',
  },
  preset_not_found: {
    status: 404,
    title: 'The preset does not exist',
    retryable: false,
    meaning: '`/v1/presets/...` only; a submission that names an unknown preset gets `invalid_request`.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The method is not allowed here',
    retryable: false,
    meaning: '`Allow` lists the methods.',
  },
  request_timeout: {
    status: 408,
    title: 'The body was not received in time',
    retryable: true,
    meaning: 'No byte of the body arrived for 30 seconds.',
  },
  not_cancelable: {
    status: 409,
    title: 'The job cannot be canceled any more',
    retryable: false,
    meaning: 'The job is final.',
  },
  not_deletable: {
    status: 409,
    title: 'The job cannot be deleted yet',
    retryable: true,
    meaning: 'The job is not final, or its prediction is still being stopped at Replicate.',
  },
  not_retryable: {
    status: 409,
    title: 'The job cannot be retried',
    retryable: false,
    meaning: 'The job is not final, or retention has removed its input or a file of its input.',
  },
  upload_in_use: {
    status: 409,
    title: 'Jobs use the upload',
    retryable: true,
    meaning: 'A job uses the upload in its input; it is removed with the last of these jobs.',
  },
  tenant_exists: {
    status: 409,
    title: 'The tenant exists already',
    retryable: false,
    meaning: '`/v1/admin/tenants` only: a tenant with this id and another title or other limits exists.',
  },
  balance_too_low: {
    status: 409,
    title: 'The balance is too low',
    retryable: true,
    meaning: 'Adjustments only: the balance must not fall below 0. `detail` gives the balance.',
  },
  credits_not_countable: {
    status: 409,
    title: 'The balance would be too large',
    retryable: false,
    meaning:
      "The hold would raise the tenant's account beyond 2^52 micro-credits (4.5 billion credits), the limit of exact sums: lower the price or the expected quantities of the preset. On a route of credits: the account is already damaged or beyond 2^53; `genqueue ledger verify` shows the cause.",
  },
  too_many_budgets: {
    status: 409,
    title: 'There are too many budgets',
    retryable: false,
    meaning: 'A tenant, key, preset or user has at most 10 budgets. Remove one first.',
  },
  too_many_endpoints: {
    status: 409,
    title: 'There are too many endpoints',
    retryable: false,
    meaning: 'A tenant has at most 50 endpoints. Delete one first.',
  },
  endpoint_disabled: {
    status: 409,
    title: 'The endpoint is disabled',
    retryable: false,
    meaning:
      'Nothing is sent to an endpoint that is disabled or was deleted. Enable it first; that also sends what was kept for it.',
  },
  mail_not_configured: {
    status: 409,
    title: 'This service sends no mail',
    retryable: false,
    meaning: 'An endpoint with an address of mail needs a mail server. The operator sets `SMTP_URL` and `MAIL_FROM`.',
  },
  wrong_endpoint_kind: {
    status: 409,
    title: 'This is another kind of endpoint',
    retryable: false,
    meaning:
      'Mail is not signed, so it has no secret to rotate; only an address of mail is confirmed, and only once; where metadata names the recipients, a test has none.',
  },
  key_already_made: {
    status: 409,
    title: 'The request made a key before',
    retryable: false,
    meaning:
      'Keys only: a key was already created with this `Idempotency-Key`, or the key was already rotated. `key_id` names the resulting key. Its text is shown only once; if it was lost, rotate the key `key_id` with a grace of 0, or revoke it.',
  },
  key_not_active: {
    status: 409,
    title: 'The key is not active',
    retryable: false,
    meaning: 'Rotation only: the key was revoked or has expired.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    retryable: false,
    meaning:
      'The limits are 96 KiB for a request, 4 MiB for a job and 8 MiB for a batch without the [files](inputs.md) in them, 64 MiB with these, 4 MiB for a message of MCP, 8 MiB for a webhook, and the configured size of an upload.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is not of an accepted type',
    retryable: false,
    meaning:
      'Send `application/json` in UTF-8, uncompressed; for an upload `multipart/form-data`, with files of an accepted type.',
  },
  range_not_satisfiable: {
    status: 416,
    title: 'The range is outside of the file',
    retryable: false,
    meaning: 'The range begins after the end of the file.',
  },
  invalid_request: {
    status: 422,
    title: 'The request is not valid',
    retryable: false,
    meaning:
      '`errors` lists the first twenty invalid fields with their JSON pointers; `detail` repeats the first of them.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key was used with another body',
    retryable: false,
    meaning: 'Use a new key for a new job, and the same body for the same key.',
  },
  too_many_queued: {
    status: 429,
    title: 'Too many jobs are waiting',
    retryable: true,
    meaning:
      'The tenant has reached its limit of queued jobs (`limit` is `queued_jobs`); retry after some have started.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    retryable: true,
    meaning:
      'The tenant has reached its request limit; `limit` is `requests_per_minute`, or `token_requests_per_minute` for a job token. A test by mail counts against `mails_per_hour` too.',
  },
  confirmation_limited: {
    status: 429,
    title: 'The address was asked too often',
    retryable: true,
    meaning:
      'At most three confirmation mails at once, and six a day, are requested for one address. Wait, or look at the log.',
  },
  too_many_bodies: {
    status: 429,
    title: 'Too many large bodies at once',
    retryable: true,
    meaning:
      'One tenant (or one address before authentication) is limited to 24 MiB of simultaneous bodies up to 128 KiB, and 96 MiB of larger ones. Wait for responses; `limit` is `body_bytes`.',
  },
  too_many_streams: {
    status: 429,
    title: 'Too many event streams are open',
    retryable: true,
    meaning: 'Close event streams, or wait.',
  },
  too_many_attempts: {
    status: 429,
    title: 'Too many failed attempts',
    retryable: true,
    meaning:
      'Within a minute there were a hundred wrong keys or tokens from one address or for one key id, or ten wrong admin passwords or a hundred refused webhooks from one address. A valid key or webhook is never refused for this reason.',
  },
  too_much_stored: {
    status: 429,
    title: 'The tenant has reached its limit of stored files',
    retryable: true,
    meaning:
      'The tenant has reached its limit of stored bytes or files, of inputs and outputs; `limit` is `stored_bytes` or `stored_files`, `allowed` its value and `used` the usage. Delete jobs or uploads, or wait until they expire.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    retryable: true,
    meaning: 'A bug in genqueue; the log has the details.',
  },
  upstream_unavailable: {
    status: 503,
    title: 'Could not read from Replicate',
    retryable: true,
    meaning:
      'The response needs Replicate, which is unavailable or refuses the account: for a model, for logs, or for the signing secret. `detail` says what could not be read, and whether the token is refused.',
  },
  storage_unavailable: {
    status: 503,
    title: 'Files cannot be stored or read',
    retryable: true,
    meaning:
      'The disk or bucket for files is full, read-only, unreachable or not configured; `/readyz` and the log give the reason.',
  },
  deployment_lost: {
    status: 503,
    title: 'The data of this deployment are missing',
    retryable: true,
    meaning:
      'Redis responds, but was emptied or holds another deployment: credentials cannot be checked, and nothing was changed. Keep the job and retry; the operator restores the data or corrects `REDIS_URL`.',
  },
  unavailable: {
    status: 503,
    title: 'A required component does not respond',
    retryable: true,
    meaning:
      'Redis does not respond. `detail` says whether nothing was changed (the command was never sent) or whether that is unknown: then check before you repeat a change, or repeat it with the same `Idempotency-Key`.',
  },
  accept_unknown: {
    status: 503,
    title: 'The outcome of the accept is unknown',
    retryable: true,
    meaning:
      'It is unknown whether the job was accepted; `detail` names its id. Repeat with the same `Idempotency-Key`, or read the job.',
  },
  storage_full: {
    status: 507,
    title: 'The disk has reached its reserve',
    retryable: true,
    meaning:
      'Less than `DISK_RESERVE` is free on the disk: uploads and jobs with new files in them are refused. Jobs without files are accepted, and outputs are stored until the disk is full.',
  },
  capacity: {
    status: 503,
    title: 'No room for new work',
    retryable: true,
    meaning:
      'Redis uses 75 % of its memory, or the request bodies of all tenants together have reached their limit of memory. Accepted jobs continue.',
  },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean; meaning: string }>

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
  /** Further headers of the response. */
  readonly headers: Readonly<Record<string, string>>
  /** Name of the limit that was reached. */
  readonly limit: string | null
  /** Value of that limit, and the usage. */
  readonly allowed: number | null
  readonly used: number | null
  /** Missing micro-credits. */
  readonly missing: number | null
  /** The id of the budget that refused, and when its period ends, ms. */
  readonly budget: string | null
  readonly resetsAt: number | null
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
      budget?: string
      resetsAt?: number
      keyId?: string
      fileBytes?: number
      headers?: Record<string, string>
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
    this.budget = options.budget ?? null
    this.resetsAt = options.resetsAt ?? null
    this.keyId = options.keyId ?? null
    this.fileBytes = options.fileBytes ?? null
    this.headers = options.headers ?? {}
  }
}
