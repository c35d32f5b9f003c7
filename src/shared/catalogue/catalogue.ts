import type { FieldError } from '../errors/service-error.ts'
import type { JsonObject } from '../values/json.ts'
import type { Logger } from '../process/logger.ts'
import type { ModelCatalogue } from '../replicate/model-catalogue.ts'
import type { UpstreamModel } from '../replicate/prediction-port.ts'
import { plainSchema, schemaHash } from './rules/dialect.ts'
import type { ForeignCheck, ForeignChecks } from './foreign-checks.ts'
import type { SchemaProblem } from './rules/schema-problem.ts'
import type { InputChecks } from './ports.ts'
import { createOutputShapes } from './output-shapes.ts'
import { partialOf, presetValues, servingPresets, unfitNames, unfitValues, type Preset } from './rules/preset.ts'

/** The schema of an input, ready to be used. */
export interface InputSchema {
  schema: JsonObject
  sha256: string
  check: ForeignCheck
}

/** A preset beside its model or deployment. `changed`: it fits, but its pinned schema is another one. */
export type Examined =
  | { kind: 'fits' | 'changed' | 'missing' | 'unread' }
  | { kind: 'unchecked'; reason: string }
  | { kind: 'unfit'; wrong: readonly FieldError[] }

/** Longest wait of a submission for a schema that is not cached yet, ms. Without one the input is accepted unchecked: upstream validates it. */
const SCHEMA_WITHIN_MS = 500
/** Interval between comparisons of the models' schemas with the ones that presets were written for, ms. */
const COMPARE_EVERY_MS = 10 * 60_000
const MAX_LOGGED = 1000

export interface CatalogueOptions {
  /** Reads all presets from their source. Throws when one is invalid. */
  read: () => Promise<Preset[]>
  models: ModelCatalogue
  /** Checks by schemas in preset files, which the operator wrote. */
  checks: InputChecks
  /** Checks by schemas of models, which are untrusted. */
  foreign: ForeignChecks
  log: Logger
  schemaWithin?: number
}

/** Presets of this process, and the schemas that inputs are checked against. */
export async function createCatalogue({
  read,
  models,
  checks,
  foreign,
  log,
  schemaWithin = SCHEMA_WITHIN_MS,
}: CatalogueOptions) {
  const byName = (presets: Preset[]): Map<string, Preset> => new Map(presets.map((preset) => [preset.name, preset]))
  let presets = byName(await read())
  let serving = servingPresets([...presets.values()])
  /** Last comparison by preset name: the schema of its model, and whether the preset still fits it. */
  const compared = new Map<string, { sha256: string; drifted: boolean }>()

  const ready = new WeakMap<Preset, InputSchema>()
  const ofModels = new WeakMap<UpstreamModel, Promise<InputSchema | null>>()
  const problems = new WeakMap<UpstreamModel, SchemaProblem>()
  /** Last logged problem by model. */
  const logged = new Map<string, SchemaProblem>()

  /** Compiles the preset's own schema without limits: the operator wrote it. */
  function own(preset: Preset, schema: JsonObject): InputSchema {
    const known = ready.get(preset)
    if (known) return known
    const check = checks(schema)
    const made = { schema, sha256: schemaHash(schema), check: (input: JsonObject) => Promise.resolve(check(input)) }
    ready.set(preset, made)
    return made
  }

  function unusable(model: UpstreamModel, problem: SchemaProblem): null {
    problems.set(model, problem)
    const { name, version } = model
    if (logged.get(name) !== problem) {
      const [oldest = ''] = logged.size >= MAX_LOGGED ? logged.keys() : []
      logged.delete(oldest)
      logged.set(name, problem)
      log.warn(
        { model: name, version, reason: problem },
        "the model's schema cannot be used; inputs are accepted unchecked",
      )
    }
    return null
  }

  async function prepare(model: UpstreamModel): Promise<InputSchema | null> {
    const plain = plainSchema(model.input_schema, model.schemas)
    if (plain === null) return unusable(model, 'too_large')
    const { schema } = plain
    const check = await foreign.of(schema)
    return typeof check === 'string' ? unusable(model, check) : { schema, sha256: schemaHash(schema), check }
  }

  function prepared(model: UpstreamModel): Promise<InputSchema | null> {
    const known = ofModels.get(model)
    if (known) return known
    const made = prepare(model)
    ofModels.set(model, made)
    return made
  }

  /**
   * Schema of a model or of one of its versions; null when it is not available in time, when upstream has none, or when it
   * is unusable.
   */
  async function modelSchema(name: string, version: string | null): Promise<InputSchema | null> {
    const model = await models.quickly(name, version, schemaWithin)
    return model ? within(schemaWithin, prepared(model)) : null
  }

  async function presetSchema(preset: Preset): Promise<InputSchema | null> {
    if (preset.schema !== 'model') return own(preset, preset.schema)
    const schema = await modelSchema(preset.model ?? '', preset.version)
    if (schema && presets.get(preset.name) === preset) await compare(preset, schema)
    return schema
  }

  /** Errors of a preset that does not fit the schema of its model. */
  async function unfit(preset: Preset, { schema }: InputSchema): Promise<FieldError[]> {
    const check = await foreign.of(partialOf(schema))
    const values = typeof check === 'string' ? [] : await check(presetValues(preset))
    return [...unfitNames(preset, schema), ...unfitValues(preset, values)]
  }

  async function compare(preset: Preset, found: InputSchema): Promise<void> {
    const { name, model, schema_sha256: pinned } = preset
    const { sha256 } = found
    const last = compared.get(name)
    if (last?.sha256 === sha256) return
    const wrong = await unfit(preset, found)
    if (compared.get(name)?.sha256 === sha256) return
    const drifted = wrong.length > 0 || (pinned !== null && pinned !== sha256)
    compared.set(name, { sha256, drifted })
    if (drifted)
      log.warn(
        { preset: name, model, pinned, found: sha256, wrong },
        "the model's schema differs from the one that the preset was written for",
      )
    else if (last?.drifted) log.info({ preset: name, model }, "the model's schema matches the preset again")
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
    /** The preset that serves the model `owner/name`; null: none. */
    serving: (model: string): Preset | null => serving.of(model),
    presetSchema,
    modelSchema,
    /** Reason why the schema of a model is not used; null when it is used or not loaded yet. */
    async problemOf(name: string, version: string | null): Promise<SchemaProblem | null> {
      const model = await models.quickly(name, version, schemaWithin)
      if (!model) return null
      await within(schemaWithin, prepared(model))
      return problems.get(model) ?? null
    },
    outputShape: createOutputShapes(models, schemaWithin),
    /** Model by name; null when upstream has none; undefined when the result is not available in time. */
    model: (name: string): Promise<UpstreamModel | null | undefined> => models.quickly(name, null, schemaWithin),
    /** Whether upstream has a deployment of this name; undefined when that is not known in time. */
    hasDeployment: (name: string): Promise<boolean | undefined> => models.hasDeployment(name, schemaWithin),
    /** Compares a preset with what upstream has now, for an operator. Waits for upstream up to `ms`. */
    async examine(preset: Preset, ms: number): Promise<Examined> {
      const { model, version, deployment, schema_sha256: pinned } = preset
      if (model === null) {
        const found = await models.hasDeployment(deployment ?? '', ms)
        return { kind: found === undefined ? 'unread' : found ? 'fits' : 'missing' }
      }
      const found = await models.quickly(model, version, ms)
      if (!found) return { kind: found === undefined ? 'unread' : 'missing' }
      const schema = await within(ms, prepared(found))
      if (schema === null) return { kind: 'unchecked', reason: problems.get(found) ?? 'not read in time' }
      const wrong = await unfit(preset, schema)
      if (wrong.length > 0) return { kind: 'unfit', wrong }
      return { kind: pinned !== null && pinned !== schema.sha256 ? 'changed' : 'fits' }
    },
    /** Number of presets whose model has another schema than the one that they were written for. */
    drifted: (): number => [...compared.values()].filter(({ drifted }) => drifted).length,

    /** Reloads the presets; when one is invalid, all previous ones stay in use. */
    async reload(): Promise<void> {
      try {
        presets = byName(await read())
        serving = servingPresets([...presets.values()])
        compared.clear()
        log.info({ presets: presets.size }, 'presets reloaded')
        void compareAll()
      } catch (error) {
        log.error({ err: error }, 'the presets are invalid; the previous ones stay in use')
      }
    },
    stop: (): void => clearInterval(timer),
  }
}

/** Resolves with the value, or with null after `ms`. */
async function within<T>(ms: number, value: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms)
  })
  return Promise.race([value, late]).finally(() => clearTimeout(timer))
}

export type Catalogue = Awaited<ReturnType<typeof createCatalogue>>
