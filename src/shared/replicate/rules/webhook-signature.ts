import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { remembered } from '../../values/remembered.ts'

/**
 * Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<raw body>`, key = the secret's base64 after
 * `whsec_`. The official client's validateWebhook checks no timestamp and compares with `===`; the tests use it as an
 * oracle.
 */

export const TOLERANCE_S = 300
const MAX_SIGNATURES = 10

export interface SignedRequest {
  id: string | undefined
  timestamp: string | undefined
  signature: string | undefined
  body: Buffer
}

const KEPT_KEYS = 100

/** Keys are kept, because making one costs several times as much as the HMAC of a webhook. */
const secretKey = remembered(KEPT_KEYS, (secret) =>
  createSecretKey(Buffer.from(secret.replace(/^whsec_/, ''), 'base64')),
)

/** The signature of a message before it is encoded. Both sides use it: Replicate's webhooks, and notifications. */
export const webhookMac = (
  secret: string,
  { id, timestamp, body }: { id: string; timestamp: string; body: Buffer | string },
): Buffer => createHmac('sha256', secretKey(secret)).update(`${id}.${timestamp}.`).update(body).digest()

/** Exactly 32 bytes of strict base64, else null: a shorter signature must never match a prefix. */
function decodeSignature(text: string): Buffer | null {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return null
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === 32 && bytes.toString('base64') === text ? bytes : null
}

/** Whether a signature of the header matches one of the secrets, with a timestamp within five minutes of `nowMs`. */
export function verifySignature(request: SignedRequest, secrets: readonly string[], nowMs: number): boolean {
  const { id, timestamp, signature, body } = request
  if (!id || !/^[A-Za-z0-9_-]{1,128}$/.test(id)) return false
  if (!timestamp || !/^\d{1,12}$/.test(timestamp)) return false
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > TOLERANCE_S) return false
  if (!signature || signature.length > 2048) return false
  const given = signature
    .split(' ')
    .slice(0, MAX_SIGNATURES)
    .flatMap((part) => {
      const bytes = part.startsWith('v1,') ? decodeSignature(part.slice(3)) : null
      return bytes ? [bytes] : []
    })
  let valid = false
  for (const secret of secrets) {
    const expected = webhookMac(secret, { id, timestamp, body })
    for (const bytes of given) if (timingSafeEqual(bytes, expected)) valid = true
  }
  return valid
}
