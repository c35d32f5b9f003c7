import { z } from 'zod'
import { cannot } from '../cannot.ts'
import { drawPicture } from '../pictures/draw-picture.ts'
import { makeFilm } from '../film/make-film.ts'
import { silence } from '../film/sound.ts'
import { isRecord } from '../is-record.ts'
import { file } from './file.ts'
import { contentTypeOfFile } from './file-output.ts'
import { modelFileSchema, type ModelFile } from './model.ts'

/** Real models as data: what Replicate says about a model becomes an entry of a `--models` file. */

type Json = Record<string, unknown>
type Entry = NonNullable<ModelFile['models']>[number]

/** The parts of `GET /v1/models/:owner/:name` that are used. */
const answerSchema = z.looseObject({
  owner: z.string(),
  name: z.string(),
  description: z.string().nullish(),
  is_official: z.boolean().default(false),
  latest_version: z.looseObject({
    id: z.string(),
    openapi_schema: z.looseObject({
      components: z.looseObject({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) }),
    }),
  }),
  default_example: z
    .looseObject({
      output: z.unknown().optional(),
      metrics: z.looseObject({ predict_time: z.number().nonnegative().optional() }).nullish(),
    })
    .nullish(),
})

/**
 * An entry for a models file: the model's own schemas, about its run time, and an output of the kind that its schema promises.
 * Throws when the value is no model with a version.
 */
export async function importModel(answer: unknown): Promise<Entry> {
  const parsed = answerSchema.safeParse(answer)
  if (!parsed.success) throw new Error(`this is no model with a version:\n${z.prettifyError(parsed.error)}`)
  const {
    owner,
    name,
    description,
    is_official: official,
    latest_version: version,
    default_example: example,
  } = parsed.data
  const { schemas } = version.openapi_schema.components
  const { Input: input = {}, Output: output = {} } = schemas
  const [inputSchema, outputSchema] = [resolved(input, schemas), resolved(output, schemas)]
  const seconds = example?.metrics?.predict_time
  const entry: Entry = {
    name: `${owner}/${name}`,
    description: description ?? '',
    official,
    ...(/^[0-9a-f]{64}$/.test(version.id) ? { version: version.id } : {}),
    input_schema: { ...inputSchema, type: 'object' },
    output_schema: outputSchema,
    ...(seconds === undefined ? {} : { run_seconds: [seconds * 0.8, seconds * 1.2] }),
    output: await outputOf(outputSchema, example?.output),
  }
  // What would not load is an error here.
  modelFileSchema.parse({ models: [entry] })
  return entry
}

/** A models file of several models. @param upstream the base of the API, with or without `/v1` */
export async function importModels(names: readonly string[], upstream: string, token: string): Promise<ModelFile> {
  const base = `${upstream.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1`
  const models = names.map(async (name) => {
    const address = `${base}/models/${name}`
    const response = await fetch(address, { headers: { authorization: `Bearer ${token}` } }).catch((cause: unknown) => {
      throw cannot(`get ${address}`, cause)
    })
    const text = await response.text()
    if (response.status === 401) throw new Error(`${name}: 401 ${text.trim()} (--token or REPLICATE_API_TOKEN)`)
    if (!response.ok) throw new Error(`${name}: ${response.status} ${text.trim()}`)
    return importModel(JSON.parse(text))
  })
  return { models: await Promise.all(models) }
}

/** A schema in one piece: enums stand beside it, and `allOf` of one refers to them. */
function resolved(schema: Json, schemas: Record<string, Json>): Json {
  const walk = (value: unknown, within: readonly string[]): unknown => {
    if (Array.isArray(value)) return value.map((one) => walk(one, within))
    if (!isRecord(value)) return value
    const { $ref: reference, allOf, ...rest } = value
    const [, name] = typeof reference === 'string' ? (/^#\/components\/schemas\/(.+)$/.exec(reference) ?? []) : []
    const target = name === undefined ? undefined : schemas[name]
    const own = Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, walk(inner, within)]))
    // A schema that contains itself accepts anything there.
    if (name !== undefined)
      return { ...(within.includes(name) ? {} : asObject(walk(target, [...within, name]))), ...own }
    if (!Array.isArray(allOf)) return own
    return allOf.length === 1 ? { ...asObject(walk(allOf[0], within)), ...own } : { ...own, allOf: walk(allOf, within) }
  }
  return asObject(walk(schema, []))
}

const asObject = (value: unknown): Json => (isRecord(value) ? value : {})

const isFile = (schema: unknown): boolean =>
  isRecord(schema) && schema['type'] === 'string' && schema['format'] === 'uri'

async function outputOf(schema: Json, example: unknown): Promise<Entry['output']> {
  const { type, items } = schema
  if (isFile(schema)) return filesOf(example, true)
  if (type === 'array' && isFile(items)) return filesOf(Array.isArray(example) ? example[0] : example, false)
  if (type === 'array' && isRecord(items) && items['type'] === 'string') return { kind: 'text' }
  if (type === 'string') return { kind: 'string', template: typeof example === 'string' ? plain(example) : 'A text.' }
  return { kind: 'json', value: example ?? null }
}

/** A template without fields. */
const plain = (text: string): string => text.replaceAll(/\{(\w+)\}/g, '{ $1 }')

/** Pictures where the example is one, or unknown; else a short file of the same type. */
async function filesOf(example: unknown, single: boolean): Promise<Entry['output']> {
  const path = typeof example === 'string' ? (URL.parse(example)?.pathname ?? '') : ''
  const type = contentTypeOfFile(path)
  if (type.startsWith('video/')) return { kind: 'files', single, files: [file(await shortFilm(), 'video/mp4').$file] }
  if (type.startsWith('audio/')) return { kind: 'files', single, files: [file(silence(1), 'audio/wav').$file] }
  if (type.startsWith('image/') || path === '' || !path.includes('.')) return { kind: 'pictures', single }
  return { kind: 'files', single, files: [file('A file of the simulator.\n', type).$file] }
}

async function shortFilm(): Promise<Buffer> {
  const about = {
    prompt: 'a lighthouse',
    seed: 1,
    aspectRatio: '1:1',
    megapixels: 0.05,
    format: 'jpg',
    quality: 60,
  } as const
  return makeFilm({ picture: await drawPicture(about), sound: silence(1), seed: 1, frames: 16, framesPerSecond: 16 })
}
