import { z } from 'zod'
import type { ErrorCode } from '../../../shared/errors/service-error.ts'

export type Access = 'open' | 'link' | 'key'

/** An operation of the API, from which the document is made. */
export interface Operation {
  method: 'get' | 'post' | 'patch' | 'delete'
  /** With parameters in braces, such as `/v1/jobs/{id}`. */
  path: string
  tag: string
  summary: string
  description?: string
  /** Default: a key or a session. `open`: no credentials. `link`: a key, a session, or a signed link. `key`: no session. */
  access?: Access
  /** Parameters of the path. */
  params?: z.ZodObject
  query?: z.ZodObject
  /** Request headers. */
  headers?: z.ZodObject
  body?: {
    required: boolean
    schema: z.ZodType
    description?: string
    example?: unknown
    /** Default: `application/json`. */
    media?: string
  }
  /** Responses without an error, by status. */
  answers: Record<number, Answer>
  /** All errors that it may respond with. */
  errors: readonly ErrorCode[]
}

export interface Answer {
  description: string
  /** null: no body, or with `media` any bytes. */
  schema: z.ZodType | null
  /** Default: `application/json` for a schema. */
  media?: string
  /** Of a sequence of lines or events: the schema of one; `schema` is then the text. */
  item?: z.ZodType
  headers?: z.ZodObject
}

export type Operations = Readonly<Record<string, Operation>>

/** Of every route below `/v1`: there are no unknown query parameters. */
const ANYWHERE = ['invalid_header', 'invalid_request', 'internal', 'unavailable', 'deployment_lost'] as const

/** Errors of a request with credentials. */
export const OWNED = [
  ...ANYWHERE,
  'unauthenticated',
  'forbidden',
  'tenant_suspended',
  'cross_site',
  'origin_not_allowed',
  'rate_limited',
  'too_many_attempts',
] as const satisfies readonly ErrorCode[]

/** Errors of a body, which every POST may have. */
const BODY = ['request_timeout', 'body_too_large', 'unsupported_media_type', 'too_many_bodies', 'capacity'] as const
const JSON_BODY = ['invalid_json', 'body_too_complex', ...BODY] as const

/** Errors of a request with credentials that changes something. */
export const POSTED = [...OWNED, ...JSON_BODY] as const satisfies readonly ErrorCode[]
export const UPLOADED = [...OWNED, 'invalid_multipart', ...BODY] as const satisfies readonly ErrorCode[]

/** Errors of a small request without credentials. */
export const OPEN = [...ANYWHERE, 'cross_site'] as const satisfies readonly ErrorCode[]
export const OPEN_BODY = [...OPEN, ...JSON_BODY] as const satisfies readonly ErrorCode[]

/** Errors when a job or batch is accepted. */
export const ACCEPT = [
  'invalid_idempotency_key',
  'insufficient_credits',
  'budget_exceeded',
  'no_price',
  'raw_models_disabled',
  'credits_not_countable',
  'idempotency_key_reused',
  'too_many_queued',
  'too_much_stored',
  'upstream_unavailable',
  'storage_unavailable',
  'accept_unknown',
  'storage_full',
] as const satisfies readonly ErrorCode[]

export const EVENT_STREAM = 'text/event-stream'

/** A server-sent event. */
export const eventOf = <T extends z.ZodType>(event: string, data: T, id: z.ZodType<string>) =>
  z.object({ event: z.literal(event), id, data })

/** What ends a stream in which changes cannot be read any more. */
export const unavailableEvent = eventOf('unavailable', z.object({ detail: z.string() }), z.string().exactOptional())

export const idempotencyKey = z.string().min(1).max(255).optional()

export const acceptHeaders = z.object({
  'Idempotency-Key': idempotencyKey.describe(
    '1 to 255 printable ASCII characters. Repeated requests with the same value and body return the same job; a different body is refused. It is kept for 24 hours after the job is final, or as long as the payload if that is longer, but never longer than the record.',
  ),
})

export const preferHeader = z.object({
  Prefer: z
    .string()
    .optional()
    .meta({ description: '`wait=n` waits for n seconds, 1 to 60; `wait` alone means 60.', examples: ['wait=30'] }),
})

export const created = z.object({ Location: z.string().describe('The path of the created object.') })
export const replayed = z.object({
  'Idempotent-Replayed': z
    .literal('true')
    .exactOptional()
    .describe('`true` if the idempotency key was known and nothing new was created.'),
})
export const waited = z.object({
  'Preference-Applied': z.string().exactOptional().describe('`wait=n`, if a wait was requested.'),
})
