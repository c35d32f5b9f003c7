import { titleOf } from '../client/client.ts'
import type { Artifact, Client, Credits, Job, JsonObject, Preset, PriceRule } from '../client/client.ts'
import { isApiError } from '../client/client.ts'
import type { Json } from '../shared/values/json.ts'

/** What agents read of jobs, presets and accounts: less than the API shows, and amounts in credits. */

const MICRO = 1_000_000
const credits = (micro: number): number => micro / MICRO
const creditsOrNull = (micro: number | null): number | null => (micro === null ? null : credits(micro))

/** The account of the tenant; null when the key lacks the scope `credits:read`. */
export async function accountOf(client: Client, signal: AbortSignal): Promise<AccountView | null> {
  try {
    return accountView(await client.credits({ signal }))
  } catch (error) {
    if (isApiError(error, 'forbidden')) return null
    throw error
  }
}

type AccountView = ReturnType<typeof accountView>
const accountView = ({ balance, held, unlimited }: Credits) => ({
  balance: credits(balance),
  held: credits(held),
  unlimited,
})

const priceOf = ({ cost }: Job) =>
  cost && {
    estimate: credits(cost.estimate),
    charged: creditsOrNull(cost.captured),
    ...(cost.uncollected > 0 ? { unpaid: credits(cost.uncollected) } : {}),
  }

/** A job in a list. */
export const lineOf = (job: Job) => ({
  id: job.id,
  status: job.status,
  title: titleOf(job),
  preset: job.preset,
  model: job.model,
  metadata: job.metadata,
  price: priceOf(job),
  created_at: job.created_at,
  completed_at: job.completed_at,
})

export const artifactView = ({ id, url, name, media_type, bytes, width, height, duration }: Artifact) => ({
  id,
  url,
  name,
  media_type,
  bytes,
  width,
  height,
  duration,
})

/** A job as it is now. */
export const jobView = (job: Job) => ({
  ...lineOf(job),
  progress: job.progress,
  waiting_for: job.waiting_for,
  output: job.output,
  artifacts: job.artifacts.map(artifactView),
  error: job.error,
})

/** Characters of a text of an input that are shown. */
const SHOWN = 1000

/** An input with its long texts shortened. */
export const inputView = (input: JsonObject | null): Json => shortened(input)

function shortened(value: Json): Json {
  if (typeof value === 'string') return value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value
  if (Array.isArray(value)) return value.map(shortened)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)]))
}

/** The price of each unit. */
const ruleView = ({ expect: _expected, ...prices }: PriceRule) =>
  Object.fromEntries(Object.entries(prices).map(([unit, micro]) => [unit, credits(micro)]))

const pricesOf = ({ price, estimate }: Preset) => price && { ...ruleView(price), estimate: creditsOrNull(estimate) }

/** A preset in a list. `fields`: what an input may set. */
export const presetLine = (preset: Preset) => ({
  name: preset.name,
  title: preset.title,
  description: preset.description,
  model: preset.model ?? preset.deployment,
  fields: preset.overrides,
  price: pricesOf(preset),
  usual_seconds: preset.run_time?.p50 ?? null,
})

/** A preset with the JSON Schema of its input. */
export const presetView = (preset: Preset) => ({
  ...presetLine(preset),
  input_schema: preset.input_schema,
  defaults: preset.defaults,
  policy_overrides: preset.policy_overrides,
})
