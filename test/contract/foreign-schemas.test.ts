import { afterAll, describe, expect, test } from 'vitest'
import { createCatalogue } from '../../src/shared/catalogue/catalogue.ts'
import { plainSchema } from '../../src/shared/catalogue/rules/dialect.ts'
import { createForeignChecks, type ForeignCheck } from '../../src/shared/catalogue/foreign-checks.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { isCheap, schemaCost } from '../../src/shared/catalogue/rules/schema-cost.ts'
import { createSchemaWorker } from '../../src/shared/catalogue/schema-worker.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createModelCatalogue } from '../../src/shared/replicate/model-catalogue.ts'

/** Schemas of strangers, in the thread that runs them. Limits of time are generous: the machine may be busy. */

const lines: { level: number; reason?: string }[] = []
const log = createLogger({
  level: 'warn',
  readable: false,
  destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
})
const worker = createSchemaWorker({ checkMs: 20_000, compileMs: 20_000, waitMs: 60_000 })
const foreign = createForeignChecks({ checks: createInputChecks(), worker, log })
afterAll(() => foreign.stop())

const many = <T>(n: number, one: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => one(i))
const named = (n: number, one: (i: number) => Json): JsonObject =>
  Object.fromEntries(many(n, (i) => [`f${i}`, one(i)] as const))
const list = (items: JsonObject): JsonObject => ({ type: 'object', properties: { a: { type: 'array', items } } })
const choices = (n: number): JsonObject => list({ anyOf: many(n, (i) => ({ type: 'integer', minimum: i })) })

/** The result, and how often the event loop turned meanwhile. */
async function turning<T>(work: () => Promise<T>): Promise<{ result: T; turns: number }> {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  try {
    return { result: await work(), turns }
  } finally {
    clearInterval(timer)
  }
}

async function checkOf(schema: JsonObject): Promise<ForeignCheck> {
  const check = await foreign.of(schema)
  if (typeof check === 'string') throw new Error(check)
  return check
}

describe('a schema', () => {
  test.each<[what: string, schema: JsonObject]>([
    ['with a choice of 1,200', choices(1200)],
    ['with a choice of 2,400', choices(2400)],
    ['with 4,900 patterns', { properties: named(4900, (i) => ({ pattern: `^${i}` })) }],
    ['with an enum of 300,000', list({ enum: many(300_000, String) })],
    ['with many unknown keywords', named(300_000, () => 1)],
    ['with 30,000 names that are required', { required: many(30_000, String) }],
  ])('%s is larger than any input is', (_what, schema) => {
    expect(plainSchema(schema)).toBeNull()
  })

  test.each<[what: string, schema: JsonObject, cheap: boolean]>([
    ['like those of Replicate', { properties: named(60, (i) => ({ type: 'integer', minimum: i, enum: [i] })) }, true],
    ['with lists of files', list({ type: 'string', format: 'uri' }), true],
    ['with a choice in a list', choices(5), true],
    ['with many choices in a list', choices(100), false],
    ['with an enum of hundreds of languages', { properties: { a: { enum: many(700, String) } } }, true],
    ['with a long enum in a list', list({ enum: many(5000, String) }), false],
    ['with many required fields in a list', list({ required: many(100, String) }), false],
    ['with a pattern', { properties: { a: { pattern: '^a' } } }, false],
    ['with many fields', { properties: named(500, () => ({ type: 'string' })) }, false],
  ])('%s runs where requests are answered, or not', (_what, schema, cheap) => {
    expect(isCheap(schemaCost(plainSchema(schema)?.schema ?? {}))).toBe(cheap)
  })

  test('that is heavy is checked off the event loop, which keeps running', async () => {
    const check = await checkOf(choices(200))
    const { result, turns } = await turning(() => check({ a: many(9900, () => 'x') }))
    expect(result).toMatchObject([{ code: 'invalid_value' }])
    expect(await check({ a: [1, 2, 3] })).toEqual([])
    const slow = await turning(() => check({ a: many(9900, () => 199) }))
    expect(slow.result).toEqual([])
    expect(turns + slow.turns).toBeGreaterThan(2)
  })

  test('with patterns is checked there too, with every mistake at once', async () => {
    const check = await checkOf({
      type: 'object',
      properties: { a: { type: 'string', pattern: '^a' }, b: { type: 'string', pattern: '^b' } },
    })
    expect(await check({ a: 'x', b: 'x' })).toMatchObject([{ pointer: '/a' }, { pointer: '/b' }])
    expect(await check({ a: 'a', b: 'b' })).toEqual([])
  })

  test('that does not compile is none', async () => {
    expect(await foreign.of({ type: 'object', properties: { a: { type: 'nonsense' } } })).toBe('not_compiled')
  })
})

describe('the thread', () => {
  const schema = choices(150)
  const evil = { hash: 'evil', schema, allErrors: true, input: { a: many(9900, () => 'x') } }

  test('that uses up its heap ends, and the next one works', async () => {
    expect(await worker.run(evil)).toEqual({ kind: 'killed' })
    expect(await worker.run({ ...evil, input: { a: [1] } })).toEqual({ kind: 'done', errors: [] })
  })

  test('that uses up its time ends; a schema that does so three times is not used any more', async () => {
    const impatient = createSchemaWorker({ checkMs: 1, compileMs: 20_000, waitMs: 60_000 })
    const checks = createForeignChecks({ checks: createInputChecks(), worker: impatient, log })
    const exponential: JsonObject = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } }
    const check = await checks.of(exponential)
    if (typeof check === 'string') throw new Error(check)
    for (let i = 0; i < 3; i++) {
      // On no machine does this check end.
      expect(await check({ a: `${'a'.repeat(200)}!` })).toEqual([])
      // The next thread compiles the schema again, for which it has time.
      expect(await check({ a: 'aaa' })).toEqual([])
    }
    expect(lines.filter(({ reason }) => reason === 'killed')).toHaveLength(1)
    expect(await checks.of(exponential)).toBe('too_heavy')
    await checks.stop()
  })

  test('does not block submissions: one that waits too long is accepted without a check', async () => {
    const busy = createSchemaWorker({ checkMs: 20_000, compileMs: 20_000, waitMs: 0 })
    const [, second] = await Promise.all([busy.run(evil), busy.run({ ...evil, input: { a: [1] } })])
    expect(second).toEqual({ kind: 'busy' })
    await busy.stop()
  })
})

test('a model whose schema cannot be used has none, says why, and is logged once', async () => {
  const models = createModelCatalogue({
    model: async (name) => ({
      name,
      description: null,
      official: true,
      version: null,
      input_schema: choices(2400),
      schemas: {},
    }),
    deployment: () => Promise.resolve(false),
  })
  const catalogue = await createCatalogue({
    read: async () => [],
    models,
    checks: createInputChecks(),
    foreign,
    log,
    schemaWithin: 20_000,
  })
  for (let i = 0; i < 3; i++) expect(await catalogue.modelSchema('a/evil', null)).toBeNull()
  expect(await catalogue.problemOf('a/evil', null)).toBe('too_large')
  expect(lines.filter(({ reason }) => reason === 'too_large')).toHaveLength(1)
  catalogue.stop()
})
