import { hash } from 'node:crypto'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { dueAttempt } from '../../shared/jobs/record/due-member.ts'
import { DEFAULT_ACCOUNT } from '../../shared/jobs/rules/job.ts'
import type { Lifecycle } from '../../shared/jobs/lifecycle.ts'
import type { DeadLetters, DueTimes, PredictionIndex } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import { createSampler } from '../../shared/values/sampled.ts'
import { isTerminal, readPrediction, type Prediction } from '../../shared/replicate/rules/prediction.ts'
import type { WebhookSecrets } from '../../shared/replicate/webhook-secrets.ts'
import { verifySignature, type SignedRequest } from '../../shared/replicate/rules/webhook-signature.ts'
import type { WebhookTokens } from '../../shared/replicate/rules/webhook-token.ts'
import { JOB_ID } from '../../shared/jobs/rules/ids.ts'
import type { OpenProbes } from '../../shared/doctor/ports.ts'
import { PROBE_ID, type Arrival, type ProbeSignature } from '../../shared/doctor/rules/probe.ts'
import type { Throttle } from '../throttle.ts'

export interface WebhookDependencies {
  lifecycle: Lifecycle
  store: Pick<PredictionIndex, 'isForeign'> & DueTimes & DeadLetters
  /** The secrets of an account; null: it is not configured. */
  secretsOf: (account: string) => WebhookSecrets | null
  tokens: WebhookTokens
  /** Probes of the doctor, which this receiver answers. */
  probes: Pick<OpenProbes, 'isOpen'>
  /** Generation of Redis's memory that this process knows. */
  generation: () => string
  /** Rejects with `deployment_lost` when Redis has lost the data. */
  ensureDeployment: () => Promise<void>
  /** Counts webhooks by outcome, for metrics. */
  count: (result: string) => void
  /** s from the completion of a prediction to the commit of its webhook */
  latency: (seconds: number) => void
  /** Refusals by address. */
  throttle: Throttle
  /** Timings */
  startHold: number
  log: Logger
}

/** Facts about a webhook before its body is read. */
export interface AnnouncedWebhook {
  query: URLSearchParams
  /** Client, for throttling. */
  ip: string
}

export interface IncomingWebhook {
  headers: Record<string, string | undefined>
  /** null: above the limit */
  body: Buffer | null
}

/** Response: a status, or what a probe asked for, which goes back in two parts with a pause between them. */
export type WebhookAnswer = number | Arrival

interface Target {
  job: string
  attempt: number
  account: string
}

/** The target that a URL names, with the token that has to prove it. */
interface Named extends Target {
  token: string
}

const MAX_ATTEMPT = 1_000_000
const MAX_TOKEN = 64
const MAX_ACCOUNT = 64

/** null: the URL names neither an attempt nor a probe. Of a repeated parameter the last one counts. */
function namedIn(query: URLSearchParams): Named | null {
  const [job, number, token, account = DEFAULT_ACCOUNT] = ['job', 'attempt', 'token', 'account'].map((name) =>
    query.getAll(name).at(-1),
  )
  const attempt = Number(number)
  if (job === undefined || token === undefined || token.length > MAX_TOKEN || account.length > MAX_ACCOUNT) return null
  if (!JOB_ID.test(job) && !PROBE_ID.test(job)) return null
  return Number.isInteger(attempt) && attempt >= 1 && attempt <= MAX_ATTEMPT ? { job, attempt, account, token } : null
}

/**
 * Replicate's webhooks: transport, authenticity, dispatch. An event that cannot be stored gets 503, because Replicate
 * retries the final event for about a minute; an event that no retry can fix gets 200 and is stored as a dead letter.
 */
export function createWebhookReceiver({
  lifecycle,
  store,
  secretsOf,
  tokens,
  probes,
  generation,
  ensureDeployment,
  count,
  latency,
  throttle,
  startHold,
  log,
}: WebhookDependencies) {
  const sample = createSampler()

  /** Logs the first of a kind at once, and at most one a minute. */
  function logSampled(level: 'info' | 'warn', reason: string, facts: object, words: string): void {
    const heldBack = sample(reason)
    if (heldBack !== null) log[level]({ ...facts, reason, not_logged: heldBack }, words)
  }

  /** Counts an unauthentic webhook for its address, which gets 429 above the limit, and returns the error. */
  function refusal(ip: string, reason: 'bad_token' | 'bad_signature', facts: object): ServiceError {
    count(reason)
    logSampled('warn', reason, { ...facts, ip }, 'webhook refused')
    throttle.check(ip)
    throttle.fail(ip)
    return new ServiceError('invalid_signature', 'The signature is missing or wrong.')
  }

  /** Throws when the token of the URL is invalid. */
  async function checkToken(named: Named, ip: string): Promise<void> {
    const { job, attempt, token, account } = named
    if (tokens.valid(job, attempt, token, account)) return
    // Reloading the keys costs work too.
    throttle.check(ip)
    await tokens.refresh()
    if (!tokens.valid(job, attempt, token, account)) throw refusal(ip, 'bad_token', { job })
  }

  /** The secret is that of the account that the URL names. */
  async function authentic(signed: SignedRequest, secrets: WebhookSecrets): Promise<boolean> {
    if (verifySignature(signed, secrets.known(), Date.now())) return true
    const refreshed = await secrets.refresh()
    if (refreshed === 'unavailable')
      throw new ServiceError('upstream_unavailable', 'The signing secret could not be loaded.', { retryAfter: 5 })
    return refreshed === 'changed' && verifySignature(signed, secrets.known(), Date.now())
  }

  function secretsFor({ account }: Target): WebhookSecrets {
    const secrets = secretsOf(account)
    if (secrets !== null) return secrets
    throw new ServiceError('upstream_unavailable', 'The account of the prediction is not configured.', {
      retryAfter: 5,
    })
  }

  async function signatureOfProbe(signed: SignedRequest, secrets: WebhookSecrets): Promise<ProbeSignature> {
    if (!signed.id || !signed.timestamp || !signed.signature) return 'missing'
    try {
      if (await authentic(signed, secrets)) return 'valid'
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'upstream_unavailable') return 'no_secret'
      throw error
    }
    return verifySignature(signed, secrets.known(), Number(signed.timestamp) * 1000) ? 'old' : 'wrong'
  }

  /**
   * A probe has the token of this deployment, and a worker or an operator has opened it for two minutes. Its answer
   * repeats facts about what its sender sent, and nothing else is read or changed.
   */
  async function receiveProbe(probe: string, signed: SignedRequest, secrets: WebhookSecrets): Promise<Arrival> {
    const { body } = signed
    const at = new Date().toISOString()
    const signature = await signatureOfProbe(signed, secrets)
    count('probe')
    return { probe, at, bytes: body.length, sha256: hash('sha256', body), signature, generation: generation() }
  }

  const lookSoon = ({ job, attempt }: Target): Promise<void> => store.rearm(dueAttempt(job, attempt), 0)

  async function bury(reason: string, target: Target, prediction: string, webhookId: string): Promise<number> {
    await store.deadLetter({ reason, job: target.job, prediction, webhook_id: webhookId })
    await lookSoon(target)
    log.warn(
      { ...target, prediction, webhook: webhookId, reason },
      'a webhook with a valid signature cannot be applied to a job; counted as a dead letter',
    )
    count(`dead_letter`)
    return 200
  }

  function ignore(reason: string, { job, attempt }: Target): number {
    count('ignored')
    logSampled('info', reason, { job, attempt }, 'webhook ignored')
    return 200
  }

  /** Starts that wait for the completion of their run, by prediction. */
  const starts = new Map<string, () => void>()

  /** Resolves with whether later news of the prediction arrived within `startHold`, so that its start needs no commit. */
  async function overtaken({ id, status }: Prediction): Promise<boolean> {
    const later = starts.get(id)
    starts.delete(id)
    later?.()
    if (isTerminal(status) || later) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), startHold)
    starts.set(id, () => resolve(true))
    const wasOvertaken = await promise
    clearTimeout(timer)
    if (!wasOvertaken) starts.delete(id)
    return wasOvertaken
  }

  async function dispatch(target: Target, prediction: Prediction, webhookId: string): Promise<number> {
    const result = await lifecycle.observe(target.job, target.attempt, prediction, 'webhook', {
      webhookId,
      account: target.account,
    })
    if (result.kind === 'missing') {
      // Late event of a deleted job.
      if (await store.isForeign(target.account, prediction.id)) return ignore('deleted_job', target)
      await ensureDeployment()
      return bury('unknown_job', target, prediction.id, webhookId)
    }
    if (result.kind === 'taken') return bury('prediction_of_another_job', target, prediction.id, webhookId)
    if (result.kind === 'ignored' && result.reason === 'unknown_attempt')
      return bury('unknown_attempt', target, prediction.id, webhookId)
    if (result.kind === 'ignored') return ignore(result.reason, target)
    count(result.kind)
    const { status, completed_at } = prediction
    if (result.kind === 'applied' && isTerminal(status) && completed_at !== null)
      latency((Date.now() - completed_at) / 1000)
    return 200
  }

  /**
   * Checks the URL before the body is read: throws `invalid_signature`, or `too_many_attempts` for an address with many of
   * them. `holder`: the holder of the body's budget. `take`: returns the response status; throws a ServiceError for
   * everything but success.
   */
  return async ({ query, ip }: AnnouncedWebhook) => {
    const named = namedIn(query)
    if (named === null) throw refusal(ip, 'bad_token', {})
    await checkToken(named, ip)
    const { job, attempt, account } = named
    const target: Target = { job, attempt, account }
    const isProbe = PROBE_ID.test(job)
    if (isProbe && !(await probes.isOpen(job))) throw refusal(ip, 'bad_token', { probe: job })
    return {
      holder: target.job,
      async take({ headers, body }: IncomingWebhook): Promise<WebhookAnswer> {
        // The key can have been rotated while the body arrived.
        await checkToken(named, ip)
        if (body === null) {
          if (!isProbe) await lookSoon(target)
          count('too_large')
          logSampled('warn', 'too_large', target, 'webhook refused')
          throw new ServiceError('body_too_large', 'The body exceeds the limit of this receiver.')
        }
        const webhookId = headers['webhook-id'] ?? ''
        const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers
        const signed = { id, timestamp, signature, body }
        const secrets = secretsFor(target)
        if (isProbe) return receiveProbe(job, signed, secrets)
        if (!(await authentic(signed, secrets))) throw refusal(ip, 'bad_signature', { ...target, webhook: webhookId })
        const prediction = readPrediction(parseJson(body))
        if (!prediction) return bury('not_a_prediction', target, '', webhookId)
        if (await overtaken(prediction)) return ignore('overtaken', target)
        return dispatch(target, prediction, webhookId)
      },
    }
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
