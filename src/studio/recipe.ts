import type { Job, JobRequest, Json, JsonObject, Model, Preset, PriceRule } from '../client/types.ts'
import type { Catalogue } from './catalogue.ts'
import { fieldsOf, type Field } from './schema-form/fields.ts'

/** The subject of a form: a preset or a bare model. */
export interface Recipe {
  /** Key of drafts: `preset:story-page`, or the model's name. */
  key: string
  title: string
  /** Prefix of the title: the owner of a model. */
  owner: string | null
  description: string | null
  fields: readonly Field[]
  target: Pick<JobRequest, 'preset' | 'model' | 'version' | 'webhook_events'>
  price: PriceRule | null
  /** Values of fields that a job does not set. */
  defaults: JsonObject
  /** s */
  runTime: { p50: number; p90: number } | null
}

/** The choice in the URL: `preset=` or `model=`. */
export interface Choice {
  preset: string | null
  model: string | null
}

export function recipeOfPreset(preset: Preset): Recipe {
  const { name, title, description, input_schema, price, defaults, fixed, run_time } = preset
  return {
    key: `preset:${name}`,
    title,
    owner: null,
    description,
    fields: fieldsOf(input_schema ?? {}, {}),
    target: {
      preset: name,
      ...(preset.policy_overrides.includes('webhook_events') ? { webhook_events: ['output', 'logs'] } : {}),
    },
    price,
    defaults: { ...defaults, ...fixed },
    runTime: run_time,
  }
}

/** `name`: `owner/name`, or `owner/name:<version>`. */
export function recipeOfModel(name: string, model: Model): Recipe {
  const [owner = '', rest = ''] = name.split('/')
  return {
    key: name,
    title: rest,
    owner,
    description: model.description,
    fields: fieldsOf(model.input_schema, model.schemas),
    target: { ...targetOf(name, model), webhook_events: ['output', 'logs'] },
    price: null,
    defaults: {},
    runTime: null,
  }
}

/** Only official models run by name. Others need a version; the default is the newest. */
function targetOf(name: string, { official, version }: Model): Pick<JobRequest, 'model' | 'version'> {
  if (name.includes(':')) return { version: name }
  return official || version === null ? { model: name } : { version: `${name}:${version}` }
}

export const isFileField = ({ kind }: Field): boolean => kind === 'file' || kind === 'file-list'

/** The first preset that needs only text, else the first model, else any preset. Null until the lists are loaded. */
export function usualChoice({ presets, models }: Catalogue): Choice | null {
  if (presets.loading) return null
  const preset = presets.items.find(({ input_schema }) => {
    const needed = fieldsOf(input_schema ?? {}, {}).filter(({ required }) => required)
    return needed.length > 0 && !needed.some(isFileField)
  })
  if (preset) return { preset: preset.name, model: null }
  if (models.loading) return null
  const [model] = models.items
  return model ? { preset: null, model: model.name } : { preset: presets.items[0]?.name ?? null, model: null }
}

/** The recipe of a run, for a similar run. */
export function choiceOf(job: Job, presets: readonly Preset[]): Choice {
  if (job.preset !== null && presets.some(({ name }) => name === job.preset)) return { preset: job.preset, model: null }
  return { preset: null, model: job.version?.includes(':') ? job.version : job.model }
}

/** The input reduced to the recipe's fields, without values equal to their defaults. */
export function sayable(recipe: Recipe, input: JsonObject): JsonObject {
  if (recipe.target.preset === undefined) return input
  return Object.fromEntries(
    recipe.fields.flatMap(({ name, default: usual }): [string, Json][] => {
      const value = input[name]
      return value === undefined || JSON.stringify(value) === JSON.stringify(usual) ? [] : [[name, value]]
    }),
  )
}
