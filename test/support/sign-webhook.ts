import { randomUUID } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { createWebhookTokens, type WebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { inPhase } from './finished.ts'
import type { TestService } from './start-service.ts'

export interface SentWebhook {
  url: string
  body: string
  headers: Record<string, string>
}

/** Webhooks as Replicate sends them: signed by the standard's own library with the account's secret. */
export interface WebhookSigner {
  secret: string
  tokens: WebhookTokens
  sign(url: string, body: object | string, options?: { at?: Date; id?: string; by?: Webhook }): SentWebhook
}

/** `token`: of the account that signs. */
export async function signerOf({ simulator, redis, keys, url }: TestService, token = 'test'): Promise<WebhookSigner> {
  const response = await fetch(`${simulator.apiUrl}/webhooks/default/secret`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const { key: secret } = (await response.json()) as { key: string }
  const [id, key] = await redis.hmget(keys.deployment, 'id', 'key')
  const ours = new Webhook(secret)
  return {
    secret,
    tokens: createWebhookTokens({
      deployment: id ?? '',
      keys: oneKey(Buffer.from(key ?? '', 'base64url')),
      publicUrl: () => url,
    }),
    sign(to, body, { at = new Date(), id: message = `msg_${randomUUID()}`, by = ours } = {}) {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      return {
        url: to,
        body: text,
        headers: {
          'content-type': 'application/json',
          'webhook-id': message,
          'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
          'webhook-signature': by.sign(message, at, text),
        },
      }
    },
  }
}

export async function sendWebhook({ url, body, headers }: SentWebhook): Promise<number> {
  const response = await fetch(url, { method: 'POST', body, headers })
  await response.arrayBuffer()
  return response.status
}

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

/** A job whose prediction was created and has not begun. */
export async function jobWithPrediction(
  service: TestService,
  request: JobRequest = { version: HELLO, input: { text: 'x' } },
): Promise<Job & { prediction_id: string }> {
  const { id } = await service.client.submit(request)
  const job = await inPhase(service, id, 'created')
  if (job.prediction_id === null) throw new Error('no prediction')
  return { ...job, prediction_id: job.prediction_id }
}

/** What a webhook says about a prediction. */
export const aboutPrediction = (job: { prediction_id: string }, status: string, changes: object = {}) => ({
  id: job.prediction_id,
  status,
  output: status === 'succeeded' ? 'hello x' : null,
  error: status === 'failed' ? 'E000' : null,
  created_at: new Date().toISOString(),
  started_at: status === 'starting' ? null : new Date().toISOString(),
  completed_at: ['succeeded', 'failed', 'canceled'].includes(status) ? new Date().toISOString() : null,
  ...changes,
})
