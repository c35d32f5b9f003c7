import type { Habits } from './habits.ts'
import { addressToken } from './identifiers.ts'
import type { Model } from './models/model.ts'
import { type Prediction, progressAt, startedAtOf, statusAt } from './prediction.ts'
import { filesOrigin, streamsOrigin } from './replicate-hosts.ts'
import { runContentAt } from './run-content.ts'
import { fileNames } from './run-files.ts'

export interface ViewContext {
  model: Model
  now: number
  /** Scheme, host and port that URLs are built on. */
  origin: string
  /** Signs URLs. */
  privateKey: string
  habits: Habits
  /** A file that is shown inline in place of its URL. */
  dataUri: (prediction: Prediction, name: string) => string | undefined
}

/** A prediction as the API returns it: conforms to `schemas_prediction_response`; unknown fields are absent. */
export function viewOf(prediction: Prediction, context: ViewContext): Record<string, unknown> {
  return withEmptyFields(view(prediction, context, 6), context.habits)
}

/**
 * The body of a webhook: keys in alphabetical order, no `source`, nanoseconds.
 * @param status replaces the current status
 */
export function webhookBodyOf(prediction: Prediction, context: ViewContext, status?: string): string {
  const { source: _, webhook_events_filter: __, ...rest } = view(prediction, context, 9)
  const { total_time: totalTime, ...metrics } = rest.metrics
  const shown = totalTime === undefined || !context.habits.total_time_in_webhooks ? metrics : rest.metrics
  const body = withEmptyFields({ ...rest, metrics: shown, ...(status === undefined ? {} : { status }) }, context.habits)
  return JSON.stringify(
    Object.fromEntries(
      Object.keys(body)
        .sort()
        .map((key) => [key, body[key]]),
    ),
  )
}

/** Fields without a value, by the habit `empty_fields`. */
function withEmptyFields(body: Record<string, unknown>, { empty_fields: habit }: Habits): Record<string, unknown> {
  if (habit === 'null') return { started_at: null, completed_at: null, ...body }
  if (habit === 'missing') return Object.fromEntries(Object.entries(body).filter(([, value]) => !isEmpty(value)))
  return body
}

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === '' ||
  value === false ||
  (typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0)

/** URL of the run's event stream; none for a run that produces one value at completion. */
function streamUrlOf(prediction: Prediction, { model, origin, privateKey }: ViewContext): string | null {
  if (prediction.training !== undefined) return null
  const token = () => addressToken(privateKey, 'stream', prediction.id)
  if (model.output.kind === 'text') return `${streamsOrigin(origin)}/v1/streams/${token()}`
  // Clients recognise by this path that the events carry URLs of files.
  return fileNames(prediction, model).length > 0 ? `${streamsOrigin(origin)}/v1/files/${token()}` : null
}

/** The URL of an output file, or the file itself when the run returns data URIs. */
export function fileUrlsOf(prediction: Prediction, { origin, privateKey, dataUri }: ViewContext) {
  const token = addressToken(privateKey, 'file', prediction.id)
  return (name: string): string => dataUri(prediction, name) ?? `${filesOrigin(origin)}/files/${token}/${name}`
}

function view(prediction: Prediction, context: ViewContext, digits: 6 | 9) {
  const { model, now, origin, habits } = context
  const { id, end, plan, training } = prediction
  const startedAt = startedAtOf(prediction)
  const status = statusAt(prediction, now)
  const base = `${origin}/v1/${training === undefined ? 'predictions' : 'trainings'}/${id}`
  const stream = streamUrlOf(prediction, context)
  const removedAsNull = prediction.removed && habits.removed_fields === 'null'
  const { output, logs } = runContentAt(prediction, model, now, fileUrlsOf(prediction, context))
  return {
    id,
    model: plan.shownModel ?? prediction.model,
    version: prediction.version,
    input: removedAsNull ? null : prediction.input,
    logs: removedAsNull ? null : logs,
    ...(training !== undefined && output === null ? {} : { output }),
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
    ...(prediction.filtered === true && habits.echo_events_filter ? { webhook_events_filter: prediction.events } : {}),
    metrics: prediction.metrics,
    urls: {
      cancel: `${base}/cancel`,
      get: base,
      web: `https://replicate.com/p/${id}`,
      ...(stream === null ? {} : { stream }),
    },
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

/** Compared to decide whether there is something new to announce. */
export function contentMarks(prediction: Prediction, context: ViewContext): { output: number; logs: number } {
  const { output, logs } = runContentAt(prediction, context.model, context.now, () => '')
  const size = output === null ? 0 : Array.isArray(output) ? output.length : 1
  return { output: size, logs: progressAt(prediction, context.now) > 0 ? logs.length : 0 }
}
