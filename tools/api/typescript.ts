import type { ApiDocument } from '../../src/api/description/document.ts'
import type { JsonSchema } from '../../src/api/description/from-zod.ts'
import { namedIn, nameIn } from '../../src/api/description/references.ts'
import { linesOf } from './lines-of.ts'

/**
 * TypeScript of the schemas of the document: an interface or a type for each, named as in the document, with the
 * descriptions as comments. Understands the keywords that the document contains, and throws at any other.
 */

const BEFORE = `// Made from docs/openapi.yaml by "npm run build:api". Do not edit.

/**
 * The shapes of the HTTP API (docs/api.md). JSON, snake_case; times are RFC 3339 with milliseconds, durations seconds.
 * Fields and members of unions are only ever added.
 */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** A page of a list. */
export interface Page<T> {
  data: T[]
  /** null on the last page. */
  next_cursor: string | null
}
`

/** Keywords that say nothing about the type, besides those that are read here. */
const NOT_OF_TYPE = ['examples', 'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties']
const READ = [
  '$ref',
  'type',
  'format',
  'enum',
  'const',
  'pattern',
  'description',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'default',
  'required',
  'properties',
  'additionalProperties',
  'propertyNames',
  'items',
  'anyOf',
  'oneOf',
  'x-enumDescriptions',
]
const KNOWN = new Set([...NOT_OF_TYPE, ...READ])

/** Width of a line of a comment. */
const WIDTH = 110

export function typesOf({ paths, components: { schemas } }: ApiDocument): string {
  const requested = namedIn(
    Object.values(paths).flatMap((item) => Object.values(item).map(({ requestBody }) => requestBody)),
    schemas,
  )
  return `${BEFORE}\n${Object.entries(schemas)
    .filter(([name, schema]) => name !== 'Json' && !isText(schema))
    .map(([name, schema]) => declaration(name, schema))
    .join('\n')}`

  function declaration(name: string, schema: JsonSchema): string {
    for (const keyword of Object.keys(schema)) check(keyword, name)
    const words = comment(schema.description, '')
    const item = itemOfPage(schema)
    if (item !== null) return `${words}export type ${name} = Page<${item}>\n`
    const { enum: values, 'x-enumDescriptions': meanings } = schema
    if (values && isWords(meanings))
      return `${words}export type ${name} =\n${values
        .map((value) => `${comment(meanings[String(value)], '  ')}  | ${literal(value)}\n`)
        .join('')}  /** Of a newer service. */
  | (string & {})
`
    const optional = requested.has(name) ? ' | undefined' : ''
    if (schema.type === 'object' && schema.properties)
      return `${words}export interface ${name} ${objectType(schema.properties, schema.required, optional, '')}\n`
    return `${words}export type ${name} = ${typeOf(schema, optional, '')}\n`
  }

  function check(keyword: string, where: string): void {
    if (!KNOWN.has(keyword))
      throw new Error(`${where}: ${keyword} is not known here. Add it to tools/api/typescript.ts.`)
  }

  /** `optional`: added to the type of an optional property, so that a request may also contain undefined. */
  function typeOf(schema: JsonSchema, optional: string, indent: string): string {
    for (const keyword of Object.keys(schema)) check(keyword, JSON.stringify(schema).slice(0, 80))
    if (schema.$ref !== undefined) {
      const name = nameIn(schema.$ref)
      const target = schemas[name]
      if (!target) throw new Error(`There is no schema ${name}.`)
      return name !== 'Json' && isText(target) ? 'string' : name
    }
    const either = schema.anyOf ?? (schema.properties ? undefined : schema.oneOf)
    if (either) return either.map((one) => typeOf(one, optional, indent)).join(' | ')
    if (schema.const !== undefined) return literal(schema.const)
    if (schema.enum) return schema.enum.map(literal).join(' | ')
    return [schema.type ?? []]
      .flat()
      .map((type) => plainType(type, schema, optional, indent))
      .join(' | ')
  }

  function plainType(type: string, schema: JsonSchema, optional: string, indent: string): string {
    const { items, properties, required, additionalProperties: more, propertyNames } = schema
    switch (type) {
      case 'integer':
        return 'number'
      case 'string':
      case 'number':
      case 'boolean':
      case 'null':
        return type
      case 'array': {
        const item = items ? typeOf(items, optional, indent) : 'Json'
        return /[ |]/.test(item) ? `(${item})[]` : `${item}[]`
      }
      case 'object':
        if (properties) return objectType(properties, required, optional, indent)
        if (typeof more !== 'object') return 'JsonObject'
        return propertyNames
          ? `{ [name in ${typeOf(propertyNames, optional, indent)}]?: ${typeOf(more, optional, indent)}${optional} }`
          : `{ [name: string]: ${typeOf(more, optional, indent)} }`
      default:
        throw new Error(`The type ${type} is not known here.`)
    }
  }

  function objectType(
    properties: Record<string, JsonSchema>,
    required: readonly string[] = [],
    optional: string,
    indent: string,
  ): string {
    const inner = `${indent}  `
    const lines = Object.entries(properties).map(([name, schema]) => {
      const is = required.includes(name)
      const key = /^\w+$/.test(name) ? name : literal(name)
      const words = comment(wordsOf(schema), inner)
      return `${words}${inner}${key}${is ? '' : '?'}: ${typeOf(schema, optional, inner)}${is ? '' : optional}\n`
    })
    return lines.length === 0 ? 'Record<string, never>' : `{\n${lines.join('')}${indent}}`
  }
}

/** A string without alternatives: its name would say nothing about its type. */
const isText = ({ type, enum: values }: JsonSchema): boolean => type === 'string' && values === undefined

const isWords = (value: unknown): value is Record<string, string> => typeof value === 'object' && value !== null

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", String.raw`\'`)}'` : JSON.stringify(value)
}

/** The name of the items, if the schema is that of a page. */
function itemOfPage({ properties }: JsonSchema): string | null {
  if (Object.keys(properties ?? {}).join() !== 'data,next_cursor') return null
  const ref = properties?.['data']?.items?.$ref
  return ref === undefined ? null : nameIn(ref)
}

/** The description of a property, with its limits and its default. */
function wordsOf({ description = '', minimum, maximum, default: preset }: JsonSchema): string {
  const isRange = minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  const range = isRange ? `From ${minimum} to ${maximum}.` : ''
  const usual = preset === undefined || typeof preset === 'object' ? '' : `Default: ${JSON.stringify(preset)}.`
  return [description, range, usual].filter(Boolean).join(' ')
}

function comment(words: string | undefined, indent: string): string {
  if (!words) return ''
  const text = words.replaceAll('*/', '*\\/')
  if (indent.length + text.length + 7 <= WIDTH) return `${indent}/** ${text} */\n`
  const lines = linesOf(text, WIDTH - indent.length + 1)
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`
}
