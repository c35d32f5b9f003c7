import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { batch } from '../../src/api/description/batches.ts'
import type { model, preset } from '../../src/api/description/catalogue.ts'
import type { credits, ledgerEntry, spending } from '../../src/api/description/credits.ts'
import { makeDocument, OPERATIONS } from '../../src/api/description/document.ts'
import type { upload } from '../../src/api/description/files.ts'
import { fromZod } from '../../src/api/description/from-zod.ts'
import type { health, readiness } from '../../src/api/description/health.ts'
import type { artifact, job, jobLogs, jobManifest, manifestLine, waitingFor } from '../../src/api/description/jobs.ts'
import type { problem } from '../../src/api/description/problem.ts'
import type { newKey, readToken, session, tenant } from '../../src/api/description/tenants.ts'
import type { batchRequestSchema, jobRequestSchema } from '../../src/api/schemas.ts'
import type * as client from '../../src/client/types.ts'
import type { priceRuleSchema } from '../../src/shared/credits/rules/price.ts'
import { ERRORS } from '../../src/shared/errors/service-error.ts'
import type { newKeySchema, newTenantSchema } from '../../src/shared/tenants/rules/tenant-requests.ts'
import { generatedFiles } from '../../tools/api/generated-files.ts'
import { typesOf } from '../../tools/api/typescript.ts'

/** The document of the API and the types of the client are made from the schemas of the API. */

const root = join(import.meta.dirname, '../..')

test.each([...(await generatedFiles())])('%s is as `npm run build:api` makes it', (file, text) => {
  const isCurrent = readFileSync(join(root, file), 'utf8') === text
  expect(isCurrent, `${file} is out of date: run "npm run build:api".`).toBe(true)
})

test('every example of a schema is one', () => {
  const document = makeDocument('1.2.3')
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'api')
  for (const [name, { examples = [] }] of Object.entries(document.components.schemas))
    for (const example of z.array(z.unknown()).parse(examples)) {
      const validate = ajv.compile({ $ref: `api#/components/schemas/${name}` })
      expect(validate(example) ? null : validate.errors, name).toBeNull()
    }
})

test('the types of the client are those of the schemas', () => {
  type Of<T extends z.ZodType> = z.output<T>
  expectTypeOf<client.Job>().toEqualTypeOf<Of<typeof job>>()
  expectTypeOf<client.WaitingFor>().toEqualTypeOf<Of<typeof waitingFor>>()
  expectTypeOf<client.Artifact>().toEqualTypeOf<Of<typeof artifact>>()
  expectTypeOf<client.JobLogs>().toEqualTypeOf<Of<typeof jobLogs>>()
  expectTypeOf<client.JobManifest>().toEqualTypeOf<Of<typeof jobManifest>>()
  expectTypeOf<client.ManifestLine>().toEqualTypeOf<Of<typeof manifestLine>>()
  expectTypeOf<client.Batch>().toEqualTypeOf<Of<typeof batch>>()
  expectTypeOf<client.Upload>().toEqualTypeOf<Of<typeof upload>>()
  expectTypeOf<client.Preset>().toEqualTypeOf<Of<typeof preset>>()
  expectTypeOf<client.PriceRule>().toEqualTypeOf<Of<typeof priceRuleSchema>>()
  expectTypeOf<client.Model>().toEqualTypeOf<Of<typeof model>>()
  expectTypeOf<client.Credits>().toEqualTypeOf<Of<typeof credits>>()
  expectTypeOf<client.LedgerEntry>().toEqualTypeOf<Of<typeof ledgerEntry>>()
  expectTypeOf<client.Spending>().toEqualTypeOf<Of<typeof spending>>()
  expectTypeOf<client.Tenant>().toEqualTypeOf<Of<typeof tenant>>()
  expectTypeOf<client.NewKey>().toEqualTypeOf<Of<typeof newKey>>()
  expectTypeOf<client.Session>().toEqualTypeOf<Of<typeof session>>()
  expectTypeOf<client.ReadToken>().toEqualTypeOf<Of<typeof readToken>>()
  expectTypeOf<client.Health>().toEqualTypeOf<Of<typeof health>>()
  expectTypeOf<client.Readiness>().toEqualTypeOf<Of<typeof readiness>>()
  // A client knows that codes are added.
  expectTypeOf<Of<typeof problem>>().toExtend<client.Problem>()
  expectTypeOf<client.JobRequest>().toEqualTypeOf<z.input<typeof jobRequestSchema>>()
  expectTypeOf<client.TenantRequest>().toEqualTypeOf<z.input<typeof newTenantSchema>>()
  expectTypeOf<client.KeyRequest>().toEqualTypeOf<z.input<typeof newKeySchema>>()
  expectTypeOf<keyof client.BatchRequest>().toEqualTypeOf<keyof z.input<typeof batchRequestSchema>>()
})

describe('the document', () => {
  const document = makeDocument('1.2.3')

  test('has every error code, each at an operation', () => {
    const codes = new Set(Object.values(OPERATIONS).flatMap(({ errors }): readonly string[] => errors))
    // Every path has it, for the methods that no operation has.
    expect([...codes, 'method_not_allowed'].sort()).toEqual(Object.keys(ERRORS).sort())
    const { enum: all, 'x-enumDescriptions': words } = document.components.schemas['ErrorCode'] ?? {}
    expect(all).toEqual(Object.keys(ERRORS))
    for (const [code, { status }] of Object.entries(ERRORS))
      expect(words).toMatchObject({ [code]: expect.stringMatching(`^${status}\\. [A-Z\`]`) })
  })

  test('has examples that are valid', () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    addFormats.default(ajv)
    ajv.addSchema(document, 'api')
    const invalid: unknown[] = []
    const find = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return
      const { examples, example, schema } = value as { examples?: unknown; example?: unknown; schema?: object }
      const isSchema = Array.isArray(examples)
      for (const one of isSchema ? examples : example === undefined ? [] : [example]) {
        const validate = ajv.compile({ $ref: `api#${path}${isSchema ? '' : '/schema'}` })
        if (!validate(one)) invalid.push([path, one, validate.errors])
      }
      if (!isSchema && example !== undefined) expect(schema, path).toBeDefined()
      for (const [key, inner] of Object.entries(value))
        find(inner, `${path}/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`)
    }
    find(document, '')
    expect(invalid).toEqual([])
  })
})

describe('a schema', () => {
  const converted = (schema: z.ZodType, io: 'input' | 'output' = 'output'): unknown =>
    fromZod({ it: schema }, io).slots['it']

  test.each([
    ['a whole number has no limits of its own', z.int(), { type: 'integer' }],
    ['but those that it names', z.int().max(Number.MAX_SAFE_INTEGER), { type: 'integer', maximum: 2 ** 53 - 1 }],
    ['null is a type', z.string().min(2).nullable(), { type: ['string', 'null'], minLength: 2 }],
    ['null is a value of an enum', z.enum(['a']).nullable(), { type: ['string', 'null'], enum: ['a', null] }],
    ['slashes of a pattern are plain', z.string().regex(/^a\/b$/), { type: 'string', pattern: '^a/b$' }],
    ['a class of characters is left out', z.string().regex(/^\P{C}$/u), { type: 'string' }],
    ['fields may be added', z.strictObject({}), { type: 'object', properties: {} }],
  ])('%s', (_name, schema, expected) => {
    expect(converted(schema)).toEqual(expected)
  })

  test('refuses unknown fields of a request', () => {
    expect(converted(z.strictObject({}), 'input')).toEqual({
      type: 'object',
      properties: {},
      additionalProperties: false,
    })
  })

  test('that cannot be described is an error', () => {
    expect(() => converted(z.custom<string>())).toThrow('A schema says nothing')
  })

  test('with a keyword that no type is made of is an error', () => {
    const schemas = { Odd: { type: 'object', patternProperties: {} } }
    expect(() => typesOf({ paths: {}, components: { schemas } })).toThrow('Odd: patternProperties is not known')
  })
})
