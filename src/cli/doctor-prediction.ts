import { ApiError, NetworkError, type Client } from '../client/client.ts'
import type { HistoryEntry, Job } from '../client/types.ts'
import {
  CHECKS,
  failed,
  ok,
  warning,
  type CheckResult,
  type Details,
  type Finding,
} from '../shared/doctor/rules/check.ts'
import { messageOf } from '../shared/values/error-text.ts'
import { credits, secondsBetween, span } from './format.ts'
import { readInput } from './read-input.ts'
import { note } from './terminal.ts'

/** A prediction that is made to be thrown away, by the way of every job. */

export interface PredictionOptions {
  preset?: string
  input?: string[]
}

/** A model that returns a greeting within a second. */
const MODEL = 'replicate/hello-world'
const INPUT = { text: 'genqueue doctor' }
/** Longest wait for the job, ms: a cold start takes minutes. */
const WITHIN_MS = 5 * 60_000

/** What the prediction will cost, as far as it is known. */
export async function costOf(client: Client, { preset }: PredictionOptions): Promise<string> {
  if (preset === undefined)
    return `Runs ${MODEL} once. The price is unknown, because Replicate publishes none in its API; the run takes about a second of a CPU.`
  const { estimate, model, deployment } = await client.preset(preset)
  const own =
    estimate === null
      ? 'The preset has no price.'
      : `The price of the preset is ${credits(estimate)} credits (estimate for its usual input).`
  return `Runs the preset ${preset} (${model ?? deployment}) once. ${own} What Replicate charges for it is unknown, because it publishes no price in its API.`
}

/** Makes the prediction, waits for its end, deletes the job. `isPolling`: no webhooks are expected. */
export async function tryPrediction(
  client: Client,
  options: PredictionOptions,
  { isPolling, withinMs = WITHIN_MS }: { isPolling: boolean; withinMs?: number },
): Promise<Finding> {
  const { preset } = options
  const input = options.input === undefined ? INPUT : await readInput(options.input)
  try {
    note(await costOf(client, options))
    const { id } = await client.submit({ ...(preset === undefined ? { model: MODEL } : { preset }), input })
    const job = await client.wait(id, { timeout: withinMs }).catch(async (error: unknown) => {
      if (error instanceof ApiError || error instanceof NetworkError) throw error
      return client.cancel(id)
    })
    const history = await client.history(id)
    // A job that is being stopped is not final yet; retention removes it.
    if (job.completed_at !== null) await client.delete(id)
    return judgeRun(job, history, isPolling)
  } catch (error) {
    if (error instanceof ApiError)
      return failed(
        `The api refused the job: ${error.message} (${error.code})`,
        error.code === 'raw_models_disabled' || error.code === 'no_price'
          ? 'Name a preset: genqueue doctor --prediction --preset <name> --input <field>=<value>.'
          : 'Correct what the message names, and run the doctor again.',
      )
    if (error instanceof NetworkError)
      return failed(
        `The api cannot be reached, so no prediction was made: ${messageOf(error)}`,
        'Start the api, or name it with --url or GENQUEUE_URL.',
      )
    throw error
  }
}

/** The entry with which the end of the prediction became known. */
const endOf = (history: readonly HistoryEntry[]): HistoryEntry | undefined =>
  history.find(({ phase }) => ['storing', 'succeeded', 'failed', 'canceled'].includes(phase))

export function judgeRun(job: Job, history: readonly HistoryEntry[], isPolling: boolean): Finding {
  const end = endOf(history)
  const took = span(secondsBetween(job.created_at, job.completed_at))
  const details: Details = {
    job: job.id,
    prediction: job.prediction_id,
    status: job.status,
    finished_by: end?.cause ?? null,
    webhooks: history.filter(({ cause }) => cause === 'webhook').length,
    captured_credits: job.cost === null ? null : (job.cost.captured ?? 0),
  }
  if (job.status !== 'succeeded') {
    const why = job.error === null ? `It is ${job.status} after ${took}.` : `${job.error.code}: ${job.error.message}`
    return failed(
      `The prediction did not succeed. ${why}`,
      'See what the other checks name, and docs/errors.md.',
      details,
    )
  }
  if (end?.cause === 'webhook')
    return ok(`A prediction succeeded after ${took}, and its webhook finished it. The job was deleted.`, details)
  if (end?.cause === 'create')
    return ok(
      `A prediction succeeded within its create request, so no webhook was needed. The job was deleted.`,
      details,
    )
  const polled = `A prediction succeeded after ${took}, and polling finished it`
  return isPolling
    ? ok(`${polled}, because there are no webhooks. The job was deleted.`, details)
    : warning(
        `${polled}${details['webhooks'] === 0 ? ': no webhook arrived.' : ', although a webhook arrived before.'}`,
        'If the check `webhook_probe` is right, something lets your network in and Replicate not: a firewall, an access list, a name that leads elsewhere.',
        details,
      )
}

/** The finding as a result of the report. */
export async function predictionCheck(client: Client, options: PredictionOptions, checks: readonly CheckResult[]) {
  const began = performance.now()
  const address = checks.find(({ name }) => name === 'webhook_address')
  const finding = await tryPrediction(client, options, { isPolling: address?.state === 'skipped' })
  return {
    name: 'prediction',
    title: CHECKS.prediction,
    ...finding,
    duration_ms: Math.round(performance.now() - began),
  } as const
}
