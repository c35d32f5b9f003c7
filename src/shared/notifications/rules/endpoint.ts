import type { SigningSecrets } from '../../tenants/rules/signing-secret.ts'
import type { EventType } from './event-types.ts'

/** Where the notifications of a tenant go (docs/notifications.md). Times are ms of the Redis clock. */

export const ENDPOINT_ID = /^ep_[0-9A-HJKMNP-TV-Z]{26}$/

/** Endpoints of one tenant. */
export const MOST_ENDPOINTS = 50

export const ENDPOINT_KINDS = ['webhook', 'email'] as const
export type EndpointKind = (typeof ENDPOINT_KINDS)[number]

/** `thin`: what happened to which job; `full`: the whole job, as it is when it is sent. */
export const PAYLOADS = ['thin', 'full'] as const
export type Payload = (typeof PAYLOADS)[number]

/** Why nothing is sent to an endpoint: its owner's wish, a 410, or five days of failures. */
export const DISABLED_REASONS = ['owner', 'gone', 'failing'] as const
export type DisabledReason = (typeof DISABLED_REASONS)[number]

export interface Endpoint {
  v: 1
  id: string
  tenant: string
  kind: EndpointKind
  /** The URL of a webhook; the address of mail, or `{metadata.<key>}`. */
  to: string
  description: string
  events: EventType[]
  /** Only events of jobs of these presets, and events that concern no job; null: of all jobs. */
  presets: string[] | null
  payload: Payload
  /** Signs what is sent to a webhook; null: mail is not signed. */
  secrets: SigningSecrets | null
  /** Mail only: when the address was confirmed; null: nothing is sent before. */
  confirmed_at: number | null
  created_at: number
  disabled: { at: number; reason: DisabledReason } | null
}

/** A job's or batch's own receiver, as the record keeps it. */
export interface OwnWebhook {
  url: string
  events: EventType[]
  /** In the form of Replicate's API, for jobs that were made there. */
  shape: 'genqueue' | 'replicate'
}
