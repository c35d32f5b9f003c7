import type { Model } from './models/model.ts'
import { type Prediction, progressAt, startedAtOf, statusAt } from './prediction.ts'
import { runContentAt } from './run-content.ts'

export interface ViewContext {
  model: Model
  now: number
  /** Scheme, host and port that URLs are built on. */
  origin: string
  fileToken: string
}

/** A prediction as the API answers it: conforms to `schemas_prediction_response`; what is not known yet is left out. */
export function viewOf(prediction: Prediction, context: ViewContext): Record<string, unknown> {
  return view(prediction, context, 6)
}

/**
 * The body of a webhook: keys in alphabetical order, no `source`, nanoseconds.
 * @param status replaces the status of the moment
 */
export function webhookBodyOf(prediction: Prediction, context: ViewContext, status?: string): string {
  const { source: _, ...rest } = view(prediction, context, 9)
  const body: Record<string, unknown> = { ...rest, ...(status === undefined ? {} : { status }) }
  return JSON.stringify(
    Object.fromEntries(
      Object.keys(body)
        .sort()
        .map((key) => [key, body[key]]),
    ),
  )
}

function view(prediction: Prediction, { model, now, origin, fileToken }: ViewContext, digits: 6 | 9) {
  const { id, end, plan } = prediction
  const startedAt = startedAtOf(prediction)
  const status = statusAt(prediction, now)
  const base = `${origin}/v1/predictions/${id}`
  const { output, logs } = runContentAt(prediction, model, now, (name) => `${origin}/files/${fileToken}/${name}`)
  return {
    id,
    model: prediction.model,
    version: prediction.version,
    input: prediction.input,
    logs,
    output,
    data_removed: prediction.removed,
    error: status === 'failed' ? plan.error : null,
    source: 'api',
    status,
    created_at: timestamp(prediction.createdAt, 3),
    ...(startedAt !== null && startedAt <= now ? { started_at: timestamp(startedAt, digits) } : {}),
    ...(end === null ? {} : { completed_at: timestamp(end.at, digits) }),
    ...(prediction.deadlineAt === null ? {} : { deadline: timestamp(prediction.deadlineAt, 3) }),
    ...(prediction.deployment === null ? {} : { deployment: prediction.deployment.split('/')[1] }),
    ...(prediction.webhook === null ? {} : { webhook: prediction.webhook }),
    metrics: prediction.metrics,
    urls: { cancel: `${base}/cancel`, get: base, web: `https://replicate.com/p/${id}` },
  }
}

/** RFC 3339 with 3, 6 or 9 digits of a second. */
export function timestamp(ms: number, digits: 3 | 6 | 9): string {
  const whole = Math.floor(ms)
  const rest =
    digits === 3
      ? ''
      : String(Math.floor((ms - whole) * 1_000_000))
          .padStart(6, '0')
          .slice(0, digits - 3)
  return `${new Date(whole).toISOString().slice(0, -1)}${rest}Z`
}

/** What tells whether there is something new to announce. */
export function contentMarks(prediction: Prediction, context: ViewContext): { output: number; logs: number } {
  const { output, logs } = runContentAt(prediction, context.model, context.now, () => '')
  const size = output === null ? 0 : Array.isArray(output) ? output.length : 1
  return { output: size, logs: progressAt(prediction, context.now) > 0 ? logs.length : 0 }
}
