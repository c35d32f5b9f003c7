import { webhookMac } from '../../replicate/rules/webhook-signature.ts'
import type { SigningSecrets } from '../../tenants/rules/signing-secret.ts'

/** The headers that prove the origin of a notification (Standard Webhooks). */
export type SignatureHeaders = Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>

/**
 * Signs a notification with the current secret, and with the replaced ones that are still valid. `at`: the time of the
 * attempt, ms, which receivers compare with their clock. `body`: the exact text that is sent.
 */
export function signedHeaders(
  { current, previous }: SigningSecrets,
  { id, at, body }: { id: string; at: number; body: string },
): SignatureHeaders {
  const timestamp = String(Math.floor(at / 1000))
  const valid = [current, ...previous.filter(({ expires_at }) => expires_at > at)]
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': valid
      .map(({ key }) => `v1,${webhookMac(key, { id, timestamp, body }).toString('base64')}`)
      .join(' '),
  }
}
