import type { ApiDocument } from '../../src/api/description/document.ts'
import type { JsonSchema } from '../../src/api/description/from-zod.ts'
import { namedIn, nameIn } from '../../src/api/description/references.ts'
import { linesOf } from './lines-of.ts'

/**
 * Python of the schemas of the document: a `TypedDict` or an alias for each, named as in the document, with the descriptions as
 * comments. For Python 3.9, where a `TypedDict` with optional fields has two classes.
 */

const BEFORE = `# Made from docs/openapi.yaml by "npm run build:api". Do not edit.
"""
The shapes of the HTTP API. Times are RFC 3339 with milliseconds, durations seconds. Fields and values are only ever added.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

#: Any JSON value.
Json = Any
`

/** The shapes that the client takes and returns; those that they name follow. */
const ROOTS = [
  'JobRequest',
  'Job',
  'JobPage',
  'JobLogs',
  'BatchRequest',
  'Batch',
  'BatchPage',
  'ManifestLine',
  'ReadToken',
  'Upload',
  'Preset',
  'Model',
  'Credits',
  'Problem',
]

const WIDTH = 110

export function pythonTypesOf({ components: { schemas } }: ApiDocument): string {
  const wanted = namedIn(
    ROOTS.map((name) => ({ $ref: `#/components/schemas/${name}` })),
    schemas,
  )
  const aliases: string[] = []
  const classes: string[] = []
  for (const [name, schema] of Object.entries(schemas)) {
    if (name === 'Json' || !wanted.has(name)) continue
    if (isClass(schema)) declareClass(name, schema)
    else aliases.push(`${comment(schema.description, '')}${name} = ${aliased(schema)}\n`)
  }
  // An alias is evaluated, so what it names must stand before it; the fields of classes are not.
  return [BEFORE, ...aliases, ...classes].join('\n')

  /** Objects within it become classes that are named after it and their field. */
  function declareClass(name: string, { properties = {}, required = [], description }: JsonSchema): void {
    const fields = Object.entries(properties).map(([field, one]) => ({
      optional: !required.includes(field),
      text: `${comment(one.description, '    ')}    ${field}: ${typeOf(one, name + pascal(field))}\n`,
    }))
    const words = description === undefined ? '' : `    """${escaped(wrapped(description, '    ', ''))}"""\n\n`
    const body = (optional: boolean): string =>
      fields.flatMap((one) => (one.optional === optional ? [one.text] : [])).join('') || '    pass\n'
    const some = (optional: boolean): boolean => fields.some((one) => one.optional === optional)
    if (some(true) && some(false)) {
      classes.push(`\nclass _${name}(TypedDict):\n${body(false)}`)
      classes.push(`\nclass ${name}(_${name}, total=False):\n${words}${body(true)}`)
    } else if (some(true)) classes.push(`\nclass ${name}(TypedDict, total=False):\n${words}${body(true)}`)
    else classes.push(`\nclass ${name}(TypedDict):\n${words}${body(false)}`)
  }

  /** Evaluated where Python 3.9 knows no `|` between types. A newer service may have other members of an open enumeration. */
  function aliased(schema: JsonSchema): string {
    const type = typeOf(schema, '')
    if (schema['x-enumDescriptions'] !== undefined) return `Union[${type}, str]`
    return type.includes(' | ') ? `Union[${type.split(' | ').join(', ')}]` : type
  }

  /** `name`: of the class for an object within it. */
  function typeOf(schema: JsonSchema, name: string): string {
    if (schema.$ref !== undefined) return nameIn(schema.$ref)
    const either = schema.anyOf ?? (schema.properties ? undefined : schema.oneOf)
    if (either) return union(either.map((one) => typeOf(one, name)))
    if (schema.const !== undefined) return `Literal[${literal(schema.const)}]`
    if (schema.enum) return literals(schema.enum)
    return union([schema.type ?? []].flat().map((type) => plainType(type, schema, name)))
  }

  function plainType(type: string, schema: JsonSchema, name: string): string {
    const { items, additionalProperties: more } = schema
    switch (type) {
      case 'integer':
        return 'int'
      case 'number':
        return 'float'
      case 'boolean':
        return 'bool'
      case 'string':
        return 'str'
      case 'null':
        return 'None'
      case 'array':
        return `list[${items ? typeOf(items, name) : 'Json'}]`
      case 'object':
        if (schema.properties) {
          declareClass(name, schema)
          return name
        }
        return `dict[str, ${typeof more === 'object' ? typeOf(more, name) : 'Json'}]`
      default:
        throw new Error(`The type ${type} is not known here. Add it to tools/api/python.ts.`)
    }
  }
}

const isClass = (schema: JsonSchema | undefined): boolean =>
  schema?.type === 'object' && schema.properties !== undefined

function union(types: string[]): string {
  return [...new Set(types)].toSorted((a, b) => Number(a === 'None') - Number(b === 'None')).join(' | ')
}

const pascal = (field: string): string =>
  field.replaceAll(/(?:^|_)([a-z])/g, (_all, letter: string) => letter.toUpperCase())

const literal = (value: unknown): string =>
  value === null ? 'None' : typeof value === 'boolean' ? (value ? 'True' : 'False') : JSON.stringify(value)

function literals(values: readonly unknown[]): string {
  const line = `Literal[${values.map(literal).join(', ')}]`
  return line.length < WIDTH - 20 ? line : `Literal[\n${values.map((value) => `    ${literal(value)},\n`).join('')}]`
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"""', '\\"\\"\\"')

const comment = (text: string | undefined, indent: string): string =>
  text === undefined ? '' : `${indent}#: ${wrapped(text, indent, '#: ')}\n`

/** Lines of the width, all but the first with the indent and the prefix. */
const wrapped = (text: string, indent: string, prefix: string): string =>
  linesOf(text, WIDTH - indent.length + 1).join(`\n${indent}${prefix}`)
