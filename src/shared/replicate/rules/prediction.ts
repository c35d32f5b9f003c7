import { z } from 'zod'
import { isTooDeep } from '../../values/json-depth.ts'
import type { Json, JsonObject } from '../../values/json.ts'

/**
 * Parser for Replicate's prediction. Optional fields can be missing or null, times have ms, µs or ns, `version` can be
 * `hidden`, `model` can differ from the requested one, and unknown statuses can appear (source: the official OpenAPI
 * description and recorded traffic). The id is opaque.
 */

function timeOf(text: string | null | undefined): number | null {
  const at = text ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : at
}

const time = z.string().nullish().transform(timeOf)

const json = z.custom<Json>((value) => value !== undefined)
const shallow = z.record(z.string(), json).refine((value) => !isTooDeep(value))

/** Limits of an error text, in characters: its beginning and its end are kept. */
const ERROR_HEAD = 16_384
const ERROR_TAIL = 4096
/** Limit in characters of JSON. */
const MAX_METRICS = 65_536

const endsOf = (text: string): string =>
  text.length <= ERROR_HEAD + ERROR_TAIL + 3 ? text : `${text.slice(0, ERROR_HEAD)}\n\u2026\n${text.slice(-ERROR_TAIL)}`

function errorOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return endsOf(value)
  return isTooDeep(value)
    ? 'Replicate returned an error that is nested too deeply to be read.'
    : endsOf(JSON.stringify(value))
}

export const predictionId = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/)

const isSmall = (value: JsonObject): boolean => !isTooDeep(value) && JSON.stringify(value).length <= MAX_METRICS

const fields = z.object({
  id: predictionId,
  status: z.string().max(64),
  model: z.string().nullish(),
  version: z.string().nullish(),
  input: shallow.nullish().catch(null),
  output: json.nullish().transform((value) => value ?? null),
  error: z.unknown().optional().transform(errorOf),
  logs: z.string().nullish(),
  metrics: z
    .record(z.string(), json)
    // One check: zod runs every refinement, also after one has failed, and a deep value overflows the stack of JSON.stringify.
    .refine(isSmall)
    .nullish()
    .catch(null),
  created_at: time,
  started_at: time,
  completed_at: time,
  data_removed: z.boolean().nullish(),
  webhook: z.string().nullish(),
  output_left_out: z.int().positive().optional(),
  logs_left_out: z.int().positive().optional(),
})

/**
 * `output_left_out`: bytes of an output that is too long to be read with the rest; `output` is null then.
 * `logs_left_out`: bytes omitted from the middle of long logs.
 */
export type Prediction = z.output<typeof fields> & {
  /** The output exists but is nested too deeply; `output` is null then. */
  output_too_deep?: true
}

const withoutDeepOutput = (prediction: z.output<typeof fields>): Prediction =>
  isTooDeep(prediction.output) ? { ...prediction, output: null, output_too_deep: true } : prediction

export const predictionSchema = fields.transform(withoutDeepOutput)

/** The prediction in a parsed body; null when it is none. */
export const readPrediction = (value: unknown): Prediction | null => predictionSchema.safeParse(value).data ?? null

export const TERMINAL_STATUSES = ['succeeded', 'failed', 'canceled', 'aborted'] as const
export type TerminalStatus = (typeof TERMINAL_STATUSES)[number]

export const isTerminal = (status: string): status is TerminalStatus =>
  (TERMINAL_STATUSES as readonly string[]).includes(status)
