import type { JsonObject, PriceRule } from '../client/types.ts'

/** Micro-credits as credits: at least two decimals, and more where needed to be exact. */
export function credits(micro: number): string {
  return (micro / 1_000_000).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 6 })
}

/** A balance with two decimals, rounded down. */
export function roughCredits(micro: number): string {
  return micro < 1_000_000 ? credits(micro) : credits(Math.floor(micro / 10_000) * 10_000)
}

/** The expected quantity of each price. */
const PARTS = {
  per_predict_second: 'predict_seconds',
  per_output: 'outputs',
  per_input_token: 'input_tokens',
  per_output_token: 'output_tokens',
  per_video_second: 'video_seconds',
} as const

const PART_LABELS: Record<keyof typeof PARTS | 'per_run', string> = {
  per_run: 'run',
  per_predict_second: 'second of run time',
  per_output: 'output',
  per_input_token: 'input token',
  per_output_token: 'output token',
  per_video_second: 'second of video',
}

const isPart = (name: string): name is keyof typeof PARTS => Object.hasOwn(PARTS, name)

/** Micro-credits held for this input, by the rule of docs/presets.md. */
export function estimateOf(rule: PriceRule, input: JsonObject): number {
  const parts = Object.keys(PARTS)
    .filter(isPart)
    .map((part) => {
      const expected = rule.expect[PARTS[part]] ?? 0
      const given = typeof expected === 'number' ? expected : 'input' in expected ? input[expected.input] : undefined
      const quantity = typeof given === 'number' ? given : typeof expected === 'number' ? expected : expected.default
      return (rule[part] ?? 0) * quantity
    })
  const sum = parts.reduce((total, part) => total + part, rule.per_run ?? 0)
  // Rounds up, except for an excess within floating-point error.
  return Math.ceil(sum - 1e-6)
}

/** The parts of a price: "0.003 for each output". */
export function priceBreakdown(rule: PriceRule): string {
  return ['per_run' as const, ...Object.keys(PARTS).filter(isPart)]
    .flatMap((part) => {
      const unit = rule[part] ?? 0
      return unit === 0 ? [] : [`${credits(unit)} for each ${PART_LABELS[part]}`]
    })
    .join(', ')
}
