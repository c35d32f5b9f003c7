import { z } from 'zod'
import { signingSecretsSchema } from '../../tenants/rules/signing-secret.ts'
import { eventType } from './event-types.ts'

/** Where the notifications of a tenant go (docs/notifications.md). Times are ms of the Redis clock. */

export const ENDPOINT_ID = /^ep_[0-9A-HJKMNP-TV-Z]{26}$/

/** Endpoints of one tenant. */
export const MOST_ENDPOINTS = 50

export const ENDPOINT_KINDS = ['webhook', 'email'] as const
export type EndpointKind = (typeof ENDPOINT_KINDS)[number]

/** `thin`: what happened to which job; `full`: the whole job, as it is when it is sent. */
export const PAYLOADS = ['thin', 'full'] as const

/** Why nothing is sent to an endpoint: its owner's wish, a 410, or five days of failures. */
export const DISABLED_REASONS = ['owner', 'gone', 'failing'] as const

export const endpointSchema = z.object({
  v: z.literal(1),
  id: z.string().regex(ENDPOINT_ID),
  tenant: z.string(),
  kind: z.enum(ENDPOINT_KINDS),
  /** The URL of a webhook; the address of mail, or `{metadata.<key>}`. */
  to: z.string(),
  description: z.string(),
  events: z.array(eventType),
  /** Only events of jobs of these presets, and events that concern no job; null: of all jobs. */
  presets: z.array(z.string()).nullable(),
  payload: z.enum(PAYLOADS),
  /** Signs what is sent to a webhook; null: mail is not signed. */
  secrets: signingSecretsSchema.nullable(),
  /** Mail only: when the address was confirmed; null: nothing is sent before. */
  confirmed_at: z.number().nullable(),
  created_at: z.number(),
  disabled: z.object({ at: z.number(), reason: z.enum(DISABLED_REASONS) }).nullable(),
})
export type Endpoint = z.output<typeof endpointSchema>

/** The types by which an endpoint counts: each once. */
export const countedTypes = (events: readonly string[]): string[] => [...new Set(events)]
