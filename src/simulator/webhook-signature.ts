import { createHmac } from 'node:crypto'

/** Standard Webhooks: HMAC-SHA256 over id, timestamp and body; the key is the base 64 text after `whsec_`. */
export function signWebhook(secret: string, id: string, timestamp: number, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}
