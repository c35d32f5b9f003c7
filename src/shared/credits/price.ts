import { z } from 'zod'
import { isReplicateDelivery } from '../artifacts/delivery.ts'
import { planOutput } from '../artifacts/output.ts'
import type { JobRecord, Json, JsonObject } from '../jobs/job.ts'

/**
 * What a job costs its tenant, in whole micro-credits (a millionth of a credit). The sum is exact and rounded up once,
 * at the end: seconds are taken to the nanosecond, as Replicate gives them.
 */

/** The highest price of one unit, and what one part of a job's price may come to: a million credits. */
export const MAX_PRICE = 1_000_000_000_000
const MAX_QUANTITY = 1_000_000_000
const NANO = 1_000_000_000n

const price = z.number().int().min(0).max(MAX_PRICE).optional()
const quantity = z.number().min(0).max(MAX_QUANTITY)

/** A number, or the field of the input that tells it and what counts when the input does not have it. */
const expectedQuantity = z.union([quantity, z.strictObject({ input: z.string().min(1).max(100), default: quantity })])

/** Which expected quantity belongs to which price. */
const PARTS = {
  per_predict_second: 'predict_seconds',
  per_output: 'outputs',
  per_input_token: 'input_tokens',
  per_output_token: 'output_tokens',
  per_video_second: 'video_seconds',
} as const
type Quantity = (typeof PARTS)[keyof typeof PARTS]

export const priceRuleSchema = z
  .strictObject({
    per_run: price,
    /** Of Replicate's `predict_time`. */
    per_predict_second: price,
    /** Of each file, or of a text. */
    per_output: price,
    per_input_token: price,
    per_output_token: price,
    per_video_second: price,
    /** What the hold is computed from, before anything has run. */
    expect: z
      .strictObject({
        predict_seconds: expectedQuantity.optional(),
        outputs: expectedQuantity.optional(),
        input_tokens: expectedQuantity.optional(),
        output_tokens: expectedQuantity.optional(),
        video_seconds: expectedQuantity.optional(),
      })
      .default({}),
  })
  .superRefine((rule, context) => {
    for (const [part, expected] of partsOf(rule))
      if (rule.expect[expected] === undefined)
        context.addIssue({
          code: 'custom',
          path: ['expect', expected],
          message: `Needed, because ${part} has a price.`,
          input: undefined,
        })
  })

export type PriceRule = z.output<typeof priceRuleSchema>

/** What a run has used. `outputs`: how many files, or 1 for a text; null when that is not known. */
export interface Usage {
  metrics: JsonObject
  outputs: number | null
}

/** `missing`: the quantity that the rule needs and the metrics do not tell, or tell as nonsense. */
export type ActualPrice = { amount: number } | { missing: Quantity }

type PricedPart = keyof typeof PARTS
type Prices = { [part in PricedPart]?: number | undefined }

const isPart = (name: string): name is PricedPart => Object.hasOwn(PARTS, name)

/** The parts that cost something. */
function partsOf(rule: Prices): [PricedPart, Quantity, number][] {
  return Object.keys(PARTS)
    .filter(isPart)
    .flatMap((part): [PricedPart, Quantity, number][] => {
      const unit = rule[part] ?? 0
      return unit === 0 ? [] : [[part, PARTS[part], unit]]
    })
}

/** Nano-micro-credits; null when the quantity is none, or beyond all reason. */
function cost(unit: number, amount: Json | undefined): bigint | null {
  if (typeof amount !== 'number' || !(amount >= 0 && amount <= MAX_QUANTITY)) return null
  const whole = Math.trunc(amount)
  const nanos = BigInt(whole) * NANO + BigInt(Math.round((amount - whole) * Number(NANO)))
  const part = BigInt(unit) * nanos
  return part <= BigInt(MAX_PRICE) * NANO ? part : null
}

const total = (perRun: number | undefined, parts: bigint[]): number =>
  Number(parts.reduce((sum, part) => sum + part, BigInt(perRun ?? 0) * NANO + NANO - 1n) / NANO)

/**
 * What to hold for a job with this input, micro-credits. An input that asks for more than a part may cost is held at
 * that limit.
 */
export function estimatePrice(rule: PriceRule, input: JsonObject): number {
  const parts = partsOf(rule).map(([, expected, unit]) => {
    const told = rule.expect[expected] ?? 0
    if (typeof told === 'number') return cost(unit, told) ?? BigInt(MAX_PRICE) * NANO
    const given = input[told.input]
    return cost(unit, typeof given === 'number' ? given : told.default) ?? BigInt(MAX_PRICE) * NANO
  })
  return total(rule.per_run, parts)
}

/** What the run costs, micro-credits, by Replicate's metrics. */
export function actualPrice(rule: PriceRule, usage: Usage): ActualPrice {
  const parts: bigint[] = []
  for (const [, used, unit] of partsOf(rule)) {
    const part = cost(unit, quantityOf(used, usage))
    if (part === null) return { missing: used }
    parts.push(part)
  }
  return { amount: total(rule.per_run, parts) }
}

/**
 * The names under which Replicate's metrics tell a quantity: those of its billing first, then those of its language
 * models.
 */
const METRICS: Record<Exclude<Quantity, 'outputs'>, readonly string[]> = {
  predict_seconds: ['predict_time'],
  input_tokens: ['token_input_count', 'input_token_count'],
  output_tokens: ['token_output_count', 'output_token_count'],
  video_seconds: ['video_output_duration_seconds'],
}

function quantityOf(used: Quantity, { metrics, outputs }: Usage): Json | undefined {
  if (used === 'outputs') return outputs
  return METRICS[used].map((name) => metrics[name]).find((value) => value !== undefined && value !== null)
}

/** How many outputs a job has delivered: its files; one for a text or another value; none for nothing. */
export function countOutputs(
  job: Pick<JobRecord, 'output' | 'output_artifact' | 'output_shape' | 'artifacts'>,
): number {
  const { output, output_artifact, output_shape, artifacts } = job
  // What holds the whole of a long output is none of its files.
  const stored = artifacts.filter(({ id }) => id !== output_artifact).length
  if (artifacts.length > 0) return Math.max(1, stored)
  const files = planOutput(output, { shape: output_shape, delivers: isReplicateDelivery }).files.length
  if (files > 0) return files
  return output === null || output === '' || (Array.isArray(output) && output.length === 0) ? 0 : 1
}
