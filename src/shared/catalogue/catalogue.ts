import type { Logger } from '../logger.ts'
import type { ModelCatalogue } from '../replicate/model-catalogue.ts'
import type { UpstreamModel } from '../replicate/prediction-port.ts'
import type { JsonObject } from '../jobs/job.ts'
import { plainSchema, schemaHash } from './dialect.ts'
import type { InputCheck, InputChecks } from './input-check.ts'
import { misfits, type Preset } from './preset.ts'

/** The schema of an input, ready to be used. */
export interface InputSchema {
  schema: JsonObject
  sha256: string
  check: InputCheck
}

/** How long a job waits for a schema that is not known yet, ms. Without it the job is accepted: upstream judges. */
const SCHEMA_WITHIN_MS = 500
/** How often the schemas of models are compared with what presets were written for, ms. */
const COMPARE_EVERY_MS = 10 * 60_000

export interface CatalogueOptions {
  /** All presets, anew. Throws when one is wrong. */
  read: () => Promise<Preset[]>
  models: ModelCatalogue
  checks: InputChecks
  log: Logger
  schemaWithin?: number
}

/** The presets of this process, and the schemas that inputs are checked against. */
export async function createCatalogue({
  read,
  models,
  checks,
  log,
  schemaWithin = SCHEMA_WITHIN_MS,
}: CatalogueOptions) {
  const byName = (presets: Preset[]): Map<string, Preset> => new Map(presets.map((preset) => [preset.name, preset]))
  let presets = byName(await read())
  /** By preset: which schema of its model was compared last, and whether it is what the preset was written for. */
  const compared = new Map<string, { sha256: string; drifted: boolean }>()

  const ready = new WeakMap<Preset | UpstreamModel, InputSchema>()
  function prepared(source: Preset | UpstreamModel, schema: JsonObject): InputSchema {
    const known = ready.get(source)
    if (known) return known
    const made = { schema, sha256: schemaHash(schema), check: checks(schema) }
    ready.set(source, made)
    return made
  }

  /** Of a model or one of its versions; null when it cannot be had quickly, or upstream tells none. */
  async function modelSchema(name: string, version: string | null): Promise<InputSchema | null> {
    const model = await models.quickly(name, version, schemaWithin)
    if (!model) return null
    const known = ready.get(model)
    if (known) return known
    const plain = plainSchema(model.input_schema, model.schemas)
    return plain && prepared(model, plain.schema)
  }

  async function presetSchema(preset: Preset): Promise<InputSchema | null> {
    if (preset.schema !== 'model') return prepared(preset, preset.schema)
    const schema = await modelSchema(preset.model ?? '', preset.version)
    if (schema && presets.get(preset.name) === preset) compare(preset, schema)
    return schema
  }

  function compare(preset: Preset, { schema, sha256 }: InputSchema): void {
    const { name, model, schema_sha256: pinned } = preset
    const last = compared.get(name)
    if (last?.sha256 === sha256) return
    const wrong = misfits(preset, schema, checks)
    const drifted = wrong.length > 0 || (pinned !== null && pinned !== sha256)
    compared.set(name, { sha256, drifted })
    if (drifted)
      log.warn(
        { preset: name, model, pinned, found: sha256, wrong },
        'the schema of the model is not the one that the preset was written for',
      )
    else if (last?.drifted) log.info({ preset: name, model }, 'the schema of the model is as the preset knows it again')
  }

  const compareAll = async (): Promise<void> => {
    await Promise.all([...presets.values()].filter(({ schema }) => schema === 'model').map(presetSchema))
  }
  void compareAll()
  const timer = setInterval(() => void compareAll(), COMPARE_EVERY_MS)
  timer.unref()

  return {
    list: (): Preset[] => [...presets.values()],
    find: (name: string): Preset | null => presets.get(name) ?? null,
    presetSchema,
    modelSchema,
    /** How many presets meet another schema than they were written for. */
    drifted: (): number => [...compared.values()].filter(({ drifted }) => drifted).length,

    /** Reads the presets again; when one is wrong, all stay as they are. */
    async reload(): Promise<void> {
      try {
        presets = byName(await read())
        compared.clear()
        log.info({ presets: presets.size }, 'presets were read again')
        void compareAll()
      } catch (error) {
        log.error({ err: error }, 'the presets are wrong; the ones from before stay in use')
      }
    },
    stop: (): void => clearInterval(timer),
  }
}

export type Catalogue = Awaited<ReturnType<typeof createCatalogue>>
