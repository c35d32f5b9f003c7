import type { Preset as PresetView } from '../description/catalogue.ts'
import type { Catalogue } from '../../shared/catalogue/catalogue.ts'
import { subscribed } from '../../shared/catalogue/rules/policies.ts'
import { runsOf, submitSchema, type Preset } from '../../shared/catalogue/rules/preset.ts'
import { estimatePrice } from '../../shared/credits/rules/price.ts'
import { formatDuration } from '../../shared/values/duration.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { CLOCKS, type OwnKeep } from '../../shared/jobs/rules/keep.ts'
import type { RunTimes } from '../../shared/jobs/ports.ts'
import type { Route } from '../http.ts'

const ownKeepWords = (keep: OwnKeep): PresetView['keep'] =>
  Object.fromEntries(
    CLOCKS.flatMap((clock) => (keep[clock] === undefined ? [] : [[clock, formatDuration(keep[clock])]])),
  )

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/** Presets with their schemas, prices and current run times. */
export function presetRoutes(catalogue: Catalogue, store: Pick<RunTimes, 'runTimes'>): Route[] {
  async function view(preset: Preset): Promise<PresetView> {
    const { name, title, description, model, version, deployment, serves, input, output, key_pattern, price } = preset
    const [schema, runs] = await Promise.all([catalogue.presetSchema(preset), store.runTimes(runsOf(preset))])
    const { overrides, ...policies } = preset.policies
    const problem = preset.schema === 'model' ? await catalogue.problemOf(model ?? '', version) : null
    return {
      name,
      title,
      description,
      model,
      version,
      deployment,
      serves,
      input_schema: schema && submitSchema(preset, schema.schema),
      schema_sha256: schema?.sha256 ?? null,
      schema_problem: problem,
      defaults: input.default,
      fixed: input.fixed,
      overrides: input.overrides,
      output,
      key_pattern,
      price,
      estimate: price && estimatePrice(price, { ...input.default, ...input.fixed }),
      ...policies,
      keep: ownKeepWords(policies.keep),
      webhook_events: subscribed(policies.webhook_events),
      policy_overrides: overrides,
      run_time: runs && { p50: seconds(runs.p50), p90: seconds(runs.p90) },
    }
  }

  return [
    {
      method: 'GET',
      path: '/v1/presets',
      scope: 'jobs:read',
      handle: async () => ({
        status: 200,
        body: { data: await Promise.all(catalogue.list().map(view)), next_cursor: null },
      }),
    },
    {
      method: 'GET',
      path: '/v1/presets/:name',
      scope: 'jobs:read',
      handle: async ({ params }) => {
        const preset = catalogue.find(params.name ?? '')
        if (preset === null) throw new ServiceError('preset_not_found', 'The preset does not exist.')
        return { status: 200, body: await view(preset) }
      },
    },
  ]
}
