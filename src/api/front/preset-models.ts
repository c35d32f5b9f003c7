import type { OutputKind } from '../../shared/artifacts/rules/output-shape.ts'
import type { Catalogue } from '../../shared/catalogue/catalogue.ts'
import { submitSchema, versionIdOf, type Preset } from '../../shared/catalogue/rules/preset.ts'
import type { JsonObject } from '../../shared/values/json.ts'
import { PRESET_OWNER } from '../resolve-job.ts'
import { FRONT } from './path.ts'

/** The Output schemas of Replicate's models. */
const OUTPUTS: Record<OutputKind, JsonObject> = {
  text: {
    type: 'array',
    items: { type: 'string' },
    title: 'Output',
    'x-cog-array-type': 'iterator',
    'x-cog-array-display': 'concatenate',
  },
  files: { type: 'array', items: { type: 'string', format: 'uri' }, title: 'Output' },
  json: { title: 'Output' },
}

/** Since when presets exist is not known. */
const CREATED_AT = '2026-01-01T00:00:00.000Z'

/** Presets as Replicate's API shows models. */
export function createPresetModels(catalogue: Pick<Catalogue, 'list' | 'find' | 'presetSchema'>) {
  async function versionOf(preset: Preset): Promise<JsonObject> {
    const schema = await catalogue.presetSchema(preset)
    const openapi_schema: JsonObject | null = schema && {
      openapi: '3.0.2',
      info: { title: preset.title, version: '0.1.0' },
      paths: {},
      components: {
        schemas: {
          Input: { title: 'Input', ...submitSchema(preset, schema.schema) },
          Output: preset.output === null ? { title: 'Output' } : OUTPUTS[preset.output],
        },
      },
    }
    return { id: versionIdOf(preset), created_at: CREATED_AT, cog_version: null, openapi_schema }
  }

  const modelOf = async (preset: Preset, origin: string): Promise<JsonObject> => ({
    url: `${origin}${FRONT}/models/${PRESET_OWNER}/${preset.name}`,
    owner: PRESET_OWNER,
    name: preset.name,
    description: preset.description ?? preset.title,
    visibility: 'public',
    // It runs by its name.
    is_official: true,
    run_count: 0,
    github_url: null,
    paper_url: null,
    license_url: null,
    cover_image_url: null,
    default_example: null,
    latest_version: await versionOf(preset),
  })

  const modelsOf = (presets: Preset[], origin: string): Promise<JsonObject[]> =>
    Promise.all(presets.map((preset) => modelOf(preset, origin)))

  return {
    find: (name: string): Preset | null => catalogue.find(name),
    modelOf,
    versionOf,
    all: (origin: string): Promise<JsonObject[]> => modelsOf(catalogue.list(), origin),

    /** The presets whose name, title, description or model contains every word. */
    search(text: string, origin: string): Promise<JsonObject[]> {
      // The official client sends the text in quotation marks.
      const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
      const found = catalogue.list().filter(({ name, title, description, model }) => {
        const about = [name, title, description, model].join(' ').toLowerCase()
        return words.every((word) => about.includes(word))
      })
      return modelsOf(found, origin)
    },
  }
}
