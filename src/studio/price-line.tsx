import type { JsonObject } from '../client/types.ts'
import { useCredits } from './credits/use-credits.ts'
import { duration } from './format.ts'
import { credits, estimateOf, priceBreakdown, roughCredits } from './money.ts'
import type { Recipe } from './recipe.ts'

interface Props {
  recipe: Recipe
  /** One for each job to be submitted. */
  inputs: readonly JsonObject[]
}

/** Price and expected duration, shown before submission. */
export function PriceLine({ recipe, inputs }: Props) {
  const { price, defaults, runTime } = recipe
  // Without any input, shows the price of one run.
  const counted = inputs.length === 0 ? [{}] : inputs
  const estimate =
    price && counted.reduce((sum, input) => sum + estimateOf(price, { ...input, ...missing(defaults, input) }), 0)
  return (
    <div className="price">
      <p className="price-line">
        <span className="muted">{counted.length === 1 ? 'Price of a run' : `Price of ${counted.length} runs`}</span>
        <strong className="tabular" title={price ? priceBreakdown(price) : undefined}>
          {estimate === null ? 'no credits' : `${credits(estimate)} credits`}
        </strong>
      </p>
      {estimate !== null && <Balance estimate={estimate} />}
      {runTime && <RunTime half={duration(runTime.p50 * 1000)} most={duration(runTime.p90 * 1000)} />}
    </div>
  )
}

function RunTime({ half, most }: { half: string; most: string }) {
  return (
    <p className="price-note">
      Takes <span className="tabular">{half}</span>
      {most !== half && (
        <>
          , 90% at most <span className="tabular">{most}</span>
        </>
      )}
      .
    </p>
  )
}

const missing = (defaults: JsonObject, input: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(defaults).filter(([name]) => input[name] === undefined))

const REFRESH_MS = 30_000

function Balance({ estimate }: { estimate: number }) {
  const { data: account } = useCredits(REFRESH_MS)
  const held = 'This amount is held until completion; then the actual usage is charged. A failed run costs nothing.'
  if (!account || account.unlimited) return <p className="price-note">{held}</p>
  const short = estimate - account.balance
  if (short > 0)
    return (
      <p className="price-note price-short">
        Balance too low by {credits(short)} credits: it is {credits(account.balance)}.
      </p>
    )
  return (
    <p className="price-note" title={held}>
      Held until completion, from a balance of <span className="tabular">{roughCredits(account.balance)}</span>.
    </p>
  )
}
