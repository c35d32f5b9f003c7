import { z } from 'zod'
import { isTooDeep } from '../../values/json-depth.ts'
import type { JsonObject } from '../../values/json.ts'
import { predictionId, readPrediction, type Prediction } from './prediction.ts'
import type {
  CreateOutcome,
  HandOverOutcome,
  ListOutcome,
  OutputOutcome,
  ReadFailure,
  ReadOutcome,
  UpstreamModel,
} from '../prediction-port.ts'
import { retryHintMs } from './retry-hint.ts'
import { statedRate } from './stated-rate.ts'

/** Interpretation of Replicate's responses. */

export interface Answer {
  status: number
  headers: { get(name: string): string | null }
  body: string
}
/** Outcome of one request. `not_connected`: no byte of it was sent. */
export type Outcome =
  | { kind: 'answer'; answer: Answer }
  | { kind: 'not_connected'; reason: string }
  /** `tooLarge`: it exceeds the limit. `hadBegun`: the status had arrived before. */
  | { kind: 'broken'; reason: string; tooLarge?: true; hadBegun?: true }

/** Statuses that prove, together with a problem body, that nothing was created (source: recorded responses). */
const REFUSED = new Set([400, 401, 402, 403, 404, 413, 422])

export function createOutcome(outcome: Outcome): CreateOutcome {
  if (outcome.kind === 'not_connected')
    return { kind: 'not_created', refusal: { class: 'unreachable', message: outcome.reason } }
  if (outcome.kind === 'broken') return { kind: 'unknown', reason: outcome.reason }
  const { status, headers, body } = outcome.answer
  if (status >= 200 && status < 300) {
    const prediction = parsePrediction(body)
    return prediction
      ? { kind: 'created', prediction }
      : { kind: 'unknown', reason: `status ${status} without a prediction` }
  }
  if (status === 429)
    return {
      kind: 'not_created',
      refusal: {
        class: 'rate_limited',
        message: problemDetail(body) ?? 'Replicate limits the request rate.',
        retryAfterMs: retryHintMs(headers, body, Date.now()),
        stated: statedRate(headers, body),
      },
    }
  const message = problemDetail(body)
  if (!REFUSED.has(status) || message === null) return { kind: 'unknown', reason: `status ${status}` }
  if (status === 401 || status === 402) return { kind: 'not_created', refusal: { class: 'account', status, message } }
  return {
    kind: 'not_created',
    refusal: { class: refusesWebhook(body) ? 'webhook' : 'rejected', status, message },
  }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const parsePrediction = (body: string) => readPrediction(parseJson(body))

/** Statuses with which Replicate refuses the account or its token. */
export const ACCOUNT_REFUSED: ReadonlySet<number> = new Set([401, 402, 403])

const useless = (reason: string): ReadFailure => ({ kind: 'failed', cause: 'upstream', reason })

const refusedRead = ({ status, body }: Answer): ReadFailure => {
  const detail = problemDetail(body)
  return {
    kind: 'failed',
    cause: ACCOUNT_REFUSED.has(status) ? 'account' : 'upstream',
    reason: detail === null ? `status ${status}` : `status ${status}: ${detail}`,
  }
}

/** Outcome of a GET, or of a cancel, which has the same responses. */
export function readOutcome(outcome: Outcome): ReadOutcome {
  if (outcome.kind !== 'answer') return useless(outcome.reason)
  const { status, headers, body } = outcome.answer
  if (status === 404) return { kind: 'not_found' }
  if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
  if (status < 200 || status > 299) return refusedRead(outcome.answer)
  const prediction = parsePrediction(body)
  return prediction ? { kind: 'prediction', prediction } : useless('the response is not a prediction')
}

/** Outcome of a GET for the output. */
export function outputOutcome(outcome: Outcome): OutputOutcome {
  if (outcome.kind === 'broken' && outcome.tooLarge) return { kind: 'too_large', reason: outcome.reason }
  const read = readOutcome(outcome)
  const bytes = read.kind === 'prediction' ? read.prediction.output_left_out : undefined
  return bytes === undefined
    ? read
    : { kind: 'too_large', reason: `the output has ${bytes} bytes of JSON, excluding its long texts` }
}

const pageSchema = z.object({ next: z.string().nullish(), results: z.array(z.unknown()) })

/** Statuses that a narrower list request may avoid. */
const PERHAPS_TOO_MUCH = new Set([413, 500, 502, 504])

/** Outcome of one page of a list. `baseUrl`: resolves a `next` link without a host. */
export function listOutcome(outcome: Outcome, baseUrl: string): ListOutcome {
  if (outcome.kind === 'not_connected') return useless(outcome.reason)
  if (outcome.kind === 'broken') return { ...useless(outcome.reason), ...(outcome.hadBegun ? { narrow: true } : {}) }
  const { status, headers, body } = outcome.answer
  if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
  if (status !== 200)
    return { ...refusedRead(outcome.answer), ...(PERHAPS_TOO_MUCH.has(status) ? { narrow: true } : {}) }
  const page = pageSchema.safeParse(parseJson(body)).data
  if (!page) return { ...useless('the response is not a page of predictions'), narrow: true }
  const rows = readRows(page.results)
  if (!rows) return { ...useless('a row of the page has no readable id'), narrow: true }
  const next = page.next ? new URL(page.next, baseUrl).searchParams.get('cursor') : null
  if (page.next && next === null) return useless('the link to the next page has no cursor')
  return { kind: 'page', ...rows, cursor: next }
}

const rowId = z.object({ id: predictionId })

function readRows(results: readonly unknown[]): { predictions: Prediction[]; unread?: string[] } | null {
  const predictions: Prediction[] = []
  const unread: string[] = []
  for (const row of results) {
    const prediction = readPrediction(row)
    const id = prediction ? undefined : rowId.safeParse(row).data?.id
    if (prediction) predictions.push(prediction)
    else if (id === undefined) return null
    else unread.push(id)
  }
  return { predictions, ...(unread.length > 0 ? { unread } : {}) }
}

const problemSchema = z.object({ title: z.string().nullish(), detail: z.string().nullish() })

/** Upstream's error text, or null when the body is no problem document. */
function problemDetail(body: string): string | null {
  const problem = problemSchema.safeParse(parseJson(body)).data
  const words = problem?.detail ?? problem?.title ?? null
  return words === null ? null : words.trim().slice(0, 2000)
}

const invalidFields = z.object({ invalid_fields: z.array(z.object({ field: z.string() })) })
/** A line of the detail about the request's own field; those about inputs begin with `input`. */
const WEBHOOK_LINE = /^(?:- )?webhook: /m

/** Whether the request's `webhook` is among the refused fields. */
function refusesWebhook(body: string): boolean {
  const parsed = parseJson(body)
  const fields = invalidFields.safeParse(parsed).data?.invalid_fields
  return fields?.some(({ field }) => field === 'webhook') ?? WEBHOOK_LINE.test(problemDetail(body) ?? '')
}

const versionSchema = z.object({
  id: z.string(),
  openapi_schema: z.object({ components: z.object({ schemas: z.record(z.string(), z.custom<JsonObject>()) }) }),
})

const modelSchema = z.object({
  owner: z.string(),
  name: z.string(),
  description: z.string().nullish(),
  is_official: z.boolean().nullish(),
  latest_version: versionSchema.nullish(),
})

/** Parses a model, or one version of the model `versionOf`. Throws when the body is neither. */
export function modelOf(body: unknown, versionOf: string | null): UpstreamModel {
  if (isTooDeep(body)) throw new Error("the model's schema is nested too deeply")
  if (versionOf === null) return toModel(modelSchema.parse(body))
  const [owner = '', name = ''] = versionOf.split('/')
  return toModel({ owner, name, latest_version: versionSchema.parse(body) })
}

function toModel({ owner, name, description, is_official, latest_version }: z.output<typeof modelSchema>) {
  const schemas = latest_version?.openapi_schema.components.schemas ?? {}
  return {
    name: `${owner}/${name}`,
    description: description ?? null,
    // Without a latest version, the model is run by its name.
    official: is_official ?? true,
    version: latest_version?.id ?? null,
    input_schema: schemas.Input ?? { type: 'object', properties: {} },
    schemas,
  }
}

const fileSchema = z.object({
  urls: z.object({ get: z.url({ protocol: /^https?$/ }) }),
  expires_at: z.string().nullish(),
})

export function handOverOutcome({ status, headers, body }: Answer): HandOverOutcome {
  if (status >= 200 && status < 300) {
    const file = fileSchema.safeParse(parseJson(body)).data
    if (!file) return { kind: 'failed', reason: `status ${status} without a file` }
    const expires = Date.parse(file.expires_at ?? '')
    return { kind: 'taken', url: file.urls.get, expiresAt: Number.isNaN(expires) ? null : expires }
  }
  if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
  const message = problemDetail(body)
  if (status === 413 || (REFUSED.has(status) && message !== null))
    return { kind: 'refused', status, message: message ?? 'Replicate refuses files of this size.' }
  return { kind: 'failed', reason: `status ${status}` }
}
