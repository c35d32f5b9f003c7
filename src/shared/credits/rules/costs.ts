import { z } from 'zod'
import { countOutputs } from './count-outputs.ts'
import { MODEL_PRICES } from './model-prices.ts'
import { actualPrice } from './price.ts'
import type { JobRecord } from '../../jobs/rules/job.ts'

/** What runs cost at Replicate, as far as its metrics and the prices of its models say, beside what was charged for them. */

/** Amounts of micro-credits, but `upstream`: micro-dollars. */
export interface CostSum {
  /** Number of runs whose cost at Replicate is known. */
  jobs: number
  /** What was held for them. */
  estimated: number
  captured: number
  upstream: number
}

export interface CostRow extends CostSum {
  /** `2026-01-31` */
  day: string
  model: string
}

/** The cost of a run at Replicate, micro-dollars; null: it costs nothing, or it is not known. */
export function upstreamCost(model: string, job: JobRecord): number | null {
  const known = MODEL_PRICES.get(model)
  const isCharged = job.phase === 'succeeded' || job.error?.billed === 'yes'
  if (!known || !isCharged) return null
  const price = actualPrice(known.price, { metrics: job.metrics, outputs: countOutputs(job) })
  return 'amount' in price ? price.amount : null
}

const NOTHING: CostSum = { jobs: 0, estimated: 0, captured: 0, upstream: 0 }
const whole = z.coerce.number().int()

/** The rows of one day's hash: fields `<what>:<model>`. */
export function decodeCosts(day: string, hash: Record<string, string>): CostRow[] {
  const rows = new Map<string, CostRow>()
  for (const [field, value] of Object.entries(hash)) {
    const at = field.indexOf(':')
    const [what, model] = [field.slice(0, at), field.slice(at + 1)]
    if (!Object.hasOwn(NOTHING, what)) continue
    rows.set(model, { ...(rows.get(model) ?? { day, model, ...NOTHING }), [what]: whole.parse(value) })
  }
  return [...rows.values()].sort((a, b) => (a.model < b.model ? -1 : 1))
}

/** Micro-credits for each micro-dollar; null: nothing was paid. */
const ratioOf = (part: number, { upstream }: CostSum): number | null =>
  upstream === 0 ? null : Math.round((part / upstream) * 1000) / 1000

/** For each model and day what its runs cost at Replicate, and how estimate and charge compare with it. */
export const costView = (from: string, to: string, rows: readonly CostRow[]) => ({
  from,
  to,
  data: rows.map((row) => ({
    day: row.day,
    model: row.model,
    jobs: row.jobs,
    estimated: row.estimated,
    captured: row.captured,
    upstream: row.upstream,
    estimated_ratio: ratioOf(row.estimated, row),
    captured_ratio: ratioOf(row.captured, row),
    price_as_of: MODEL_PRICES.get(row.model)?.as_of ?? null,
    price_source: MODEL_PRICES.get(row.model)?.source ?? null,
  })),
})
