import { z } from 'zod'
import type { Json } from '../jobs/job.ts'

/**
 * Replicate's prediction as we read it. Optional fields may be missing or null, times have ms, µs or ns, `version` may
 * be `hidden`, `model` may differ from what was asked, and statuses that we do not know yet may appear (source: the
 * official OpenAPI description and recorded traffic). The id is opaque.
 */

const time = z
  .string()
  .nullish()
  .transform((text) => {
    const at = text ? Date.parse(text) : Number.NaN
    return Number.isNaN(at) ? null : at
  })

const json = z.custom<Json>((value) => value !== undefined)

export const predictionSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  status: z.string().max(64),
  model: z.string().nullish(),
  version: z.string().nullish(),
  input: z.record(z.string(), json).nullish().catch(null),
  output: json.nullish().transform((value) => value ?? null),
  error: z
    .unknown()
    .optional()
    .transform((value) =>
      value === null || value === undefined ? null : typeof value === 'string' ? value : JSON.stringify(value),
    ),
  logs: z.string().nullish(),
  metrics: z.record(z.string(), json).nullish(),
  created_at: time,
  started_at: time,
  completed_at: time,
  data_removed: z.boolean().nullish(),
  webhook: z.string().nullish(),
})

export type Prediction = z.output<typeof predictionSchema>

export const TERMINAL_STATUSES = ['succeeded', 'failed', 'canceled', 'aborted'] as const
export type TerminalStatus = (typeof TERMINAL_STATUSES)[number]

export const isTerminal = (status: string): status is TerminalStatus =>
  (TERMINAL_STATUSES as readonly string[]).includes(status)
