import { z } from 'zod'
import { ServiceError } from '../../shared/errors.ts'
import { dueAttempt } from '../../shared/jobs/due-member.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import type { JobStore } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/logger.ts'
import { isTerminal, predictionSchema, type Prediction } from '../../shared/replicate/prediction.ts'
import type { WebhookSecrets } from '../../shared/replicate/webhook-secrets.ts'
import { verifySignature } from '../../shared/replicate/webhook-signature.ts'
import type { WebhookTokens } from '../../shared/replicate/webhook-token.ts'
import { JOB_ID } from '../schemas.ts'

export interface WebhookDependencies {
  lifecycle: Lifecycle
  store: JobStore
  secrets: WebhookSecrets
  tokens: WebhookTokens
  account: string
  /** Counts answers by class, for metrics. */
  count: (result: string) => void
  /** s from the end of a prediction to the commit that its webhook made */
  latency: (seconds: number) => void
  log: Logger
}

export interface IncomingWebhook {
  query: URLSearchParams
  headers: Record<string, string | undefined>
  /** null: larger than this service takes */
  body: Buffer | null
}

interface Target {
  job: string
  attempt: number
}

const targetSchema = z.object({
  job: z.string().regex(JOB_ID),
  attempt: z.coerce.number().int().min(1).max(1_000_000),
  token: z.string().max(64),
})

/**
 * Replicate's webhooks: transport, authenticity, dispatch. Whatever cannot be stored answers 503, because Replicate
 * tries the final event again for about a minute; what no retry can mend answers 200 and is kept as a dead letter.
 */
export function createWebhookReceiver({
  lifecycle,
  store,
  secrets,
  tokens,
  account,
  count,
  latency,
  log,
}: WebhookDependencies) {
  /** What the URL names, when its token is ours. */
  async function targetOf(query: URLSearchParams): Promise<Target | null> {
    const parsed = targetSchema.safeParse(Object.fromEntries(query))
    if (!parsed.success) return null
    const { job, attempt, token } = parsed.data
    if (!tokens.valid(job, attempt, token)) await tokens.refresh()
    return tokens.valid(job, attempt, token) ? { job, attempt } : null
  }

  async function authentic(headers: IncomingWebhook['headers'], body: Buffer): Promise<boolean> {
    const signed = {
      id: headers['webhook-id'],
      timestamp: headers['webhook-timestamp'],
      signature: headers['webhook-signature'],
      body,
    }
    if (verifySignature(signed, secrets.known(), Date.now())) return true
    const refreshed = await secrets.refresh()
    if (refreshed === 'unavailable')
      throw new ServiceError('upstream_unavailable', 'The signing secret is not known right now.', { retryAfter: 5 })
    return refreshed === 'changed' && verifySignature(signed, secrets.known(), Date.now())
  }

  const lookSoon = ({ job, attempt }: Target): Promise<void> => store.rearm(dueAttempt(job, attempt), 0)

  async function bury(reason: string, target: Target, prediction: string, webhookId: string): Promise<number> {
    await store.deadLetter({ reason, job: target.job, prediction, webhook_id: webhookId })
    await lookSoon(target)
    log.warn({ ...target, prediction, webhook: webhookId, reason }, 'an authentic webhook could not be used')
    count(`dead_letter`)
    return 200
  }

  function ignore(): number {
    count('ignored')
    return 200
  }

  async function dispatch(target: Target, prediction: Prediction, webhookId: string): Promise<number> {
    const result = await lifecycle.observe(target.job, target.attempt, prediction, 'webhook', webhookId)
    if (result.kind === 'missing') {
      // Of a job that was deleted: late news of what is nobody's any more.
      if (await store.isForeign(account, prediction.id)) return ignore()
      return bury('unknown_job', target, prediction.id, webhookId)
    }
    if (result.kind === 'taken') return bury('prediction_of_another_job', target, prediction.id, webhookId)
    if (result.kind === 'ignored' && result.reason === 'unknown_attempt')
      return bury('unknown_attempt', target, prediction.id, webhookId)
    count(result.kind)
    const { status, completed_at } = prediction
    if (result.kind === 'applied' && isTerminal(status) && completed_at !== null)
      latency((Date.now() - completed_at) / 1000)
    return 200
  }

  /** The status to answer; throws a ServiceError for everything but success. */
  return async ({ query, headers, body }: IncomingWebhook): Promise<number> => {
    if (body === null) {
      const target = await targetOf(query)
      if (target) await lookSoon(target)
      count('too_large')
      throw new ServiceError('body_too_large', 'The body is larger than this receiver takes.')
    }
    if (!(await authentic(headers, body))) {
      count('bad_signature')
      throw new ServiceError('invalid_signature', 'The signature is missing or wrong.')
    }
    const webhookId = headers['webhook-id'] ?? ''
    const target = await targetOf(query)
    if (!target) {
      // Signed by our account's secret, but not made by this deployment: a leaked secret, or a neighbour's misrouted URL.
      count('bad_token')
      log.error({ webhook: webhookId }, 'a webhook with a right signature and a wrong token')
      throw new ServiceError('invalid_signature', 'The signature is missing or wrong.')
    }
    const prediction = predictionSchema.safeParse(parseJson(body))
    return prediction.success
      ? dispatch(target, prediction.data, webhookId)
      : bury('not_a_prediction', target, '', webhookId)
  }
}

export type WebhookReceiver = ReturnType<typeof createWebhookReceiver>

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
