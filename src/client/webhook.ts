import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Batch, Budget, Credits, Job, JsonObject } from './types.ts'

/** A job in a notification: with the payload `full` all of it. */
export type NotifiedJob = Pick<Job, 'id' | 'status' | 'rev' | 'batch' | 'metadata' | 'error'> & Partial<Job>

/** What a receiver reads. Types and fields may be added: ignore those that you do not know. */
export type NotificationPayload = { /** When the event happened. */ timestamp: string } & (
  | {
      type: 'job.started' | 'job.succeeded' | 'job.failed' | 'job.canceled' | 'job.progress' | 'artifact.at_risk'
      data: { job: NotifiedJob }
    }
  | { type: 'batch.finished'; data: { batch: Batch } }
  | { type: 'budget.alert'; data: { budget: Omit<Budget, 'users'> & { level: number | null } } }
  | { type: 'credits.low' | 'credits.exhausted'; data: { credits: Credits & { missing?: number } } }
  | { type: 'endpoint.disabled'; data: { endpoint: { id: string; reason: string; detail: string } } }
  | { type: 'endpoint.test'; data: JsonObject }
)

/** The request is not from genqueue, was altered, or is too old. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError'
}

export interface VerifyOptions {
  /** s that the time of the request may differ from the clock of this machine; 300 by default. */
  tolerance?: number | undefined
}

type HeaderValue = string | string[] | undefined | null
/** Headers of `fetch`, or the object of Node and Express. */
export type WebhookHeaders = { get(name: string): string | null } | { readonly [name: string]: HeaderValue }

/**
 * Verifies a notification (Standard Webhooks) and returns its payload. `body`: the bytes as they arrived, before any parser.
 * `secrets`: `whsec_…`, or several while they are rotated. Throws a WebhookVerificationError.
 */
export function verifyWebhook(
  body: string | Uint8Array,
  headers: WebhookHeaders,
  secrets: string | readonly string[],
  { tolerance = 300 }: VerifyOptions = {},
): NotificationPayload {
  const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) =>
    headerOf(headers, name),
  )
  if (!id || !timestamp || !signatures)
    throw new WebhookVerificationError('webhook-id, webhook-timestamp and webhook-signature are required.')
  const age = Date.now() / 1000 - Number(timestamp)
  if (!/^\d+$/.test(timestamp) || Math.abs(age) > tolerance)
    throw new WebhookVerificationError(`The request is too old, or a clock is wrong: ${Math.round(age)} s.`)
  const given = signatures
    .split(' ')
    .flatMap((one) => (one.startsWith('v1,') ? [Buffer.from(one.slice(3), 'base64')] : []))
  const isValid = [secrets].flat().some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
    return given.some((one) => one.length === expected.length && timingSafeEqual(one, expected))
  })
  if (!isValid)
    throw new WebhookVerificationError('The signature is wrong. Compare the secret, and verify the body as it arrived.')
  const payload: NotificationPayload = JSON.parse(typeof body === 'string' ? body : Buffer.from(body).toString('utf8'))
  return payload
}

function headerOf(headers: WebhookHeaders, name: string): string | null {
  const value = isFetchHeaders(headers) ? headers.get(name) : headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? null
}

const isFetchHeaders = (headers: WebhookHeaders): headers is { get(name: string): string | null } =>
  typeof headers['get'] === 'function'
