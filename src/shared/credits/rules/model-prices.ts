import { priceRuleSchema, type PriceRule } from './price.ts'

/**
 * What Replicate charges for runs of its official models, in micro-dollars (a millionth of a dollar). Replicate's API does not
 * say it, so this is data that ages: `as_of` is the day of each price. A price here never charges a tenant (docs/credits.md).
 */
export interface ModelPrice {
  price: PriceRule
  /** The page that states it. */
  source: string
  /** `2026-01-31` */
  as_of: string
}

const AS_OF = '2025-12-01'
const priceOf = (model: string, rule: object): [string, ModelPrice] => [
  model,
  { price: priceRuleSchema.parse(rule), source: `https://replicate.com/${model}`, as_of: AS_OF },
]
const perOutput = (model: string, amount: number): [string, ModelPrice] =>
  priceOf(model, { per_output: amount, expect: { outputs: 1 } })

/** By the name of the model. */
export const MODEL_PRICES: ReadonlyMap<string, ModelPrice> = new Map([
  perOutput('black-forest-labs/flux-schnell', 3_000),
  perOutput('black-forest-labs/flux-dev', 25_000),
  perOutput('black-forest-labs/flux-dev-lora', 32_000),
  perOutput('black-forest-labs/flux-1.1-pro', 40_000),
  perOutput('black-forest-labs/flux-1.1-pro-ultra', 60_000),
  perOutput('black-forest-labs/flux-kontext-pro', 40_000),
  perOutput('black-forest-labs/flux-kontext-max', 80_000),
  perOutput('flux-kontext-apps/restore-image', 40_000),
  priceOf('wan-video/wan-2.2-s2v', { per_video_second: 20_000, expect: { video_seconds: 10 } }),
  priceOf('google/gemini-3-pro', {
    per_input_token: 2,
    per_output_token: 12,
    expect: { input_tokens: 1000, output_tokens: 1000 },
  }),
])
