import { Ajv, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import { parsedDocument, REPLICATE_OPENAPI } from './parsed-document.ts'

/** Compares responses with Replicate's published OpenAPI document. */

type Part = Readonly<Record<string, unknown>>
const partOf = (value: unknown): Part => (typeof value === 'object' && value !== null ? (value as Part) : {})
const segment = (key: string): string => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))

/** `version` is "a string, or the string hidden": with `oneOf`, hidden would match both and be invalid. */
const withOneOfAsAnyOf = (value: unknown): object =>
  partOf(JSON.parse(JSON.stringify(value).replaceAll('"oneOf"', '"anyOf"')))

function load() {
  const document = partOf(parsedDocument(REPLICATE_OPENAPI))
  const ajv = new Ajv({ strict: false, allErrors: true, code: { optimize: false } })
  formats.default(ajv)
  ajv.addSchema({ $id: 'replicate', ...withOneOfAsAnyOf(document) })
  const paths = Object.entries(partOf(document['paths'])).map(([path, item]) => ({
    path,
    matches: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    item: partOf(item),
  }))
  return { ajv, paths }
}
let loaded: ReturnType<typeof load> | undefined

/** What is wrong with a JSON body of an operation, by its path below `/v1`; null: nothing, or the operation is not described. */
export function againstReplicate(method: string, path: string, status: number, body: unknown): string | null {
  loaded ??= load()
  const found = loaded.paths.find(({ matches }) => matches.test(path))
  const operation = partOf(found?.item[method.toLowerCase()])
  if (found === undefined || !('responses' in operation)) return null
  const content = partOf(partOf(partOf(operation['responses'])[String(status)])['content'])
  if (!('application/json' in content)) return `${method} ${found.path}: the status ${status} is not described`
  const place = [
    'paths',
    found.path,
    method.toLowerCase(),
    'responses',
    String(status),
    'content',
    'application/json',
    'schema',
  ]
  const validate: ValidateFunction | undefined = loaded.ajv.getSchema(`replicate#/${place.map(segment).join('/')}`)
  if (validate === undefined) throw new Error(`no schema for ${found.path}`)
  return validate(body) ? null : loaded.ajv.errorsText(validate.errors)
}
