import type { JsonObject, PriceRule } from '../client/types.ts'

/** Micro-credits as credits: at least two decimals, and as many more as it takes, so that nothing is hidden. */
export function credits(micro: number): string {
  return (micro / 1_000_000).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 6 })
}

/** A balance as people say it: two decimals, never more than there is. */
export function roughCredits(micro: number): string {
  return micro < 1_000_000 ? credits(micro) : credits(Math.floor(micro / 10_000) * 10_000)
}

/** Which expected quantity belongs to which price. */
const PARTS = {
  per_predict_second: 'predict_seconds',
  per_output: 'outputs',
  per_input_token: 'input_tokens',
  per_output_token: 'output_tokens',
  per_video_second: 'video_seconds',
} as const

const PART_WORDS: Record<keyof typeof PARTS | 'per_run', string> = {
  per_run: 'run',
  per_predict_second: 'second of running',
  per_output: 'output',
  per_input_token: 'token read',
  per_output_token: 'token written',
  per_video_second: 'second of video',
}

const isPart = (name: string): name is keyof typeof PARTS => Object.hasOwn(PARTS, name)

/** What will be held for this input, micro-credits, by the rule of docs/presets.md. */
export function estimateOf(rule: PriceRule, input: JsonObject): number {
  const parts = Object.keys(PARTS)
    .filter(isPart)
    .map((part) => {
      const told = rule.expect[PARTS[part]] ?? 0
      const given = typeof told === 'number' ? told : input[told.input]
      const quantity = typeof given === 'number' ? given : typeof told === 'number' ? told : told.default
      return (rule[part] ?? 0) * quantity
    })
  const sum = parts.reduce((total, part) => total + part, rule.per_run ?? 0)
  // The sum is rounded up; what is above a whole number by less than floating point can tell is not.
  return Math.ceil(sum - 1e-6)
}

/** "0.003 for each output": what the price is made of. */
export function priceWords(rule: PriceRule): string {
  return ['per_run' as const, ...Object.keys(PARTS).filter(isPart)]
    .flatMap((part) => {
      const unit = rule[part] ?? 0
      return unit === 0 ? [] : [`${credits(unit)} for each ${PART_WORDS[part]}`]
    })
    .join(', ')
}
