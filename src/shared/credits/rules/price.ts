import { z } from 'zod'
import type { Json, JsonObject } from '../../values/json.ts'

/**
 * Price of a job for its tenant, in whole micro-credits (a millionth of a credit). The sum is exact, with seconds to the
 * nanosecond as Replicate reports them, and is rounded up once, at the end.
 */

/** Limit of the price of one unit, and of one part of a job's price: a million credits. */
export const MAX_PRICE = 1_000_000_000_000
const MAX_QUANTITY = 1_000_000_000
const NANO = 1_000_000_000n

const price = z.number().int().min(0).max(MAX_PRICE).exactOptional()
const quantity = z.number().min(0).max(MAX_QUANTITY)

/**
 * A number, or the input field that contains it and the default for an input without that field; or the duration of the file that
 * an input field names.
 */
const expectedQuantity = z.union([
  quantity,
  z.strictObject({
    input: z.string().min(1).max(100).describe('The field of the input that contains the quantity.'),
    default: quantity,
  }),
  z.strictObject({
    duration_of: z
      .string()
      .min(1)
      .max(100)
      .describe('The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.'),
    default: quantity.describe('For a file whose duration is not known, such as one behind a link.'),
  }),
])

/** The quantity that each price multiplies. */
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
    per_predict_second: price.describe("Per second of `predict_time` in Replicate's metrics."),
    per_output: price.describe('Per file, or per text.'),
    per_input_token: price,
    per_output_token: price,
    per_video_second: price,
    expect: z
      .strictObject({
        predict_seconds: expectedQuantity.exactOptional(),
        outputs: expectedQuantity.exactOptional(),
        input_tokens: expectedQuantity.exactOptional(),
        output_tokens: expectedQuantity.exactOptional(),
        video_seconds: expectedQuantity.exactOptional(),
      })
      .default({})
      .describe('Expected quantities for the estimate, from which the hold is computed.'),
  })
  .superRefine((rule, context) => {
    for (const [part, expected] of partsOf(rule))
      if (rule.expect[expected] === undefined)
        context.addIssue({
          code: 'custom',
          path: ['expect', expected],
          message: `Required because ${part} has a price.`,
          input: undefined,
        })
  })
  .meta({ id: 'PriceRule', description: 'Micro-credits per unit. The parts are added, and the sum is rounded up.' })

export type PriceRule = z.output<typeof priceRuleSchema>

/** Usage of a run. `outputs`: number of files, or 1 for a text; null when unknown. */
export interface Usage {
  metrics: JsonObject
  outputs: number | null
}

/** `missing`: the quantity that the rule needs and that the metrics lack or contain with an implausible value. */
export type ActualPrice = { amount: number } | { missing: Quantity }

type PricedPart = keyof typeof PARTS
type Prices = { [part in PricedPart]?: number | undefined }

const isPart = (name: string): name is PricedPart => Object.hasOwn(PARTS, name)

/** Parts with a price above 0. */
function partsOf(rule: Prices): [PricedPart, Quantity, number][] {
  return Object.keys(PARTS)
    .filter(isPart)
    .flatMap((part): [PricedPart, Quantity, number][] => {
      const unit = rule[part] ?? 0
      return unit === 0 ? [] : [[part, PARTS[part], unit]]
    })
}

/** Price of one part in 10^-9 micro-credits; null when the quantity is not a number or implausible. */
function cost(unit: number, amount: Json | undefined): bigint | null {
  if (typeof amount !== 'number' || !(amount >= 0 && amount <= MAX_QUANTITY)) return null
  const whole = Math.trunc(amount)
  const nanos = BigInt(whole) * NANO + BigInt(Math.round((amount - whole) * Number(NANO)))
  const part = BigInt(unit) * nanos
  return part <= BigInt(MAX_PRICE) * NANO ? part : null
}

const total = (perRun: number | undefined, parts: bigint[]): number =>
  Number(parts.reduce((sum, part) => sum + part, BigInt(perRun ?? 0) * NANO + NANO - 1n) / NANO)

/** The input fields whose files have to be measured for the estimate. */
export const measuredFields = (rule: PriceRule): string[] =>
  partsOf(rule).flatMap(([, expected]) => {
    const quantity = rule.expect[expected]
    return typeof quantity === 'object' && 'duration_of' in quantity ? [quantity.duration_of] : []
  })

/**
 * Amount to hold for a job with this input, micro-credits. Each part is limited to MAX_PRICE. `seconds`: durations of the files that
 * its fields name, where they are known.
 */
export function estimatePrice(
  rule: PriceRule,
  input: JsonObject,
  seconds: ReadonlyMap<string, number> = new Map(),
): number {
  const parts = partsOf(rule).map(([, expected, unit]) => {
    const quantity = rule.expect[expected] ?? 0
    if (typeof quantity === 'number') return cost(unit, quantity) ?? BigInt(MAX_PRICE) * NANO
    const given = 'input' in quantity ? input[quantity.input] : seconds.get(quantity.duration_of)
    return cost(unit, typeof given === 'number' ? given : quantity.default) ?? BigInt(MAX_PRICE) * NANO
  })
  return total(rule.per_run, parts)
}

/** Price of the run from Replicate's metrics, micro-credits. */
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
 * Names of each quantity in Replicate's metrics: the names of its billing first, then those of its language models.
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
