import { z } from 'zod'
import { priceRuleSchema } from '../credits/price.ts'
import {
  CAUSES,
  ON_UNKNOWN,
  PHASES,
  STATUSES,
  STORE_POLICIES,
  WEBHOOK_EVENTS,
  type AttemptRecord,
  type Effect,
  type JobRecord,
  type Json,
  type JsonObject,
} from './job.ts'

/**
 * Records as Redis hashes: one field each, so that a commit writes only what changed. Words are kept as they are ('' is
 * null), everything else as JSON. What is read back meets a schema once, here.
 */

const json = z.custom<Json>((value) => value !== undefined)
const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json)
const error = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  billed: z.enum(['no', 'yes', 'unknown']),
})
const artifact = z.object({
  id: z.string(),
  key: z.string(),
  media_type: z.string(),
  bytes: z.number(),
  sha256: z.string(),
})

const jobSchema: z.ZodType<JobRecord> = z.object({
  v: z.literal(1),
  id: z.string(),
  rev: z.number(),
  tenant: z.string(),
  account: z.string(),
  phase: z.enum(PHASES),
  status: z.enum(STATUSES),
  attempt: z.number(),
  model: z.string().nullable(),
  version: z.string().nullable(),
  deployment: z.string().nullable(),
  preset: z.string().nullable(),
  batch: z.string().nullable(),
  position: z.number().nullable(),
  in_sequence: z.boolean(),
  prediction_id: z.string().nullable(),
  input: jsonObject.nullable(),
  metadata: jsonObject,
  webhook_events: z.array(z.enum(WEBHOOK_EVENTS)),
  timeout: z.number(),
  start_within: z.number(),
  start_since: z.number(),
  start_paused: z.number(),
  on_unknown: z.enum(ON_UNKNOWN),
  resubmissions: z.number(),
  resubmit_limit: z.number(),
  store: z.enum(STORE_POLICIES),
  in_flight_limit: z.number().nullable(),
  price: priceRuleSchema.nullable(),
  charge_canceled: z.boolean(),
  estimate: z.number(),
  captured: z.number().nullable(),
  uncollected: z.number(),
  charge_estimated: z.boolean(),
  retry_of: z.string().nullable(),
  output: json,
  artifacts: z.array(artifact),
  progress: z.number().nullable(),
  partial: z.string().nullable().default(null),
  error: error.nullable(),
  metrics: jsonObject,
  stop: z.object({ reason: z.enum(['canceled', 'timeout']), requested_at: z.number() }).nullable(),
  idempotency: z.string().nullable(),
  created_at: z.number(),
  submitted_at: z.number().nullable(),
  prediction_created_at: z.number().nullable(),
  started_at: z.number().nullable(),
  completed_at: z.number().nullable(),
})

const attemptSchema: z.ZodType<AttemptRecord> = z.object({
  v: z.literal(1),
  n: z.number(),
  account: z.string(),
  state: z.enum(['intended', 'unknown', 'open', 'closed']),
  claim: z.string(),
  intended_at: z.number(),
  prediction_id: z.string().nullable().default(null),
  outcome: z.string().nullable().default(null),
  finished_by: z.enum(CAUSES).nullable().default(null),
  webhook_id: z.string().nullable().default(null),
  absent_since: z.number().nullable().default(null),
  missing_since: z.number().nullable().default(null),
  orphans: z.array(z.string()).default([]),
  closed_at: z.number().nullable().default(null),
})

const effectSchema: z.ZodType<Effect> = z.discriminatedUnion('kind', [
  z.object({
    v: z.literal(1),
    kind: z.literal('store'),
    attempt: z.number(),
    output: json,
    output_pending: z.boolean(),
    expires_at: z.number(),
    give_up_at: z.number(),
  }),
  z.object({
    v: z.literal(1),
    kind: z.literal('cancel'),
    attempt: z.number(),
    prediction_id: z.string(),
    requested_at: z.number(),
  }),
])

const WORDS = new Set([
  'id',
  'tenant',
  'account',
  'phase',
  'status',
  'model',
  'version',
  'deployment',
  'preset',
  'batch',
  'store',
  'prediction_id',
  'idempotency',
  'on_unknown',
  'retry_of',
  'partial',
  'state',
  'claim',
  'outcome',
  'finished_by',
  'webhook_id',
])

/** The record was written by a newer release: this one must leave it alone. */
export class NewerRecordError extends Error {
  override name = 'NewerRecordError'
}

export const encodeField = (field: string, value: unknown): string => {
  if (!WORDS.has(field)) return JSON.stringify(value ?? null)
  return typeof value === 'string' ? value : ''
}

const decodeField = (field: string, text: string): unknown => {
  if (WORDS.has(field)) return text === '' ? null : text
  return JSON.parse(text)
}

const pairs = (flat: readonly string[]): [string, string][] =>
  Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])

const decodeFields = (entries: [string, string][]): Record<string, unknown> => {
  const fields: Record<string, unknown> = {}
  for (const [field, text] of entries)
    if (field !== 'commits' && field !== 'progress_at') fields[field] = decodeField(field, text)
  if (typeof fields.v === 'number' && fields.v > 1) throw new NewerRecordError(`a record of version ${fields.v}`)
  return fields
}

export function decodeJob(flat: readonly string[]): JobRecord | null {
  return flat.length === 0 ? null : jobSchema.parse(decodeFields(pairs(flat)))
}

export function decodeAttempts(flat: readonly string[]): AttemptRecord[] {
  const byNumber = new Map<number, [string, string][]>()
  for (const [name, text] of pairs(flat)) {
    const dot = name.indexOf('.')
    const n = Number(name.slice(0, dot))
    const entries = byNumber.get(n) ?? []
    entries.push([name.slice(dot + 1), text])
    byNumber.set(n, entries)
  }
  return [...byNumber.keys()]
    .sort((a, b) => a - b)
    .map((n) => attemptSchema.parse({ n, ...decodeFields(byNumber.get(n) ?? []) }))
}

const versionSchema = z.object({ v: z.number() })

export const decodeEffects = (flat: readonly string[]): Effect[] =>
  pairs(flat).map(([, text]) => {
    const effect: unknown = JSON.parse(text)
    const { v } = versionSchema.parse(effect)
    if (v > 1) throw new NewerRecordError(`an effect of version ${v}`)
    return effectSchema.parse(effect)
  })
