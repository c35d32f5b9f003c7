import { describe, expect, test } from 'vitest'
import { parseJsonBody } from '../../src/api/json-body.ts'
import { queryObject } from '../../src/api/schemas.ts'
import { takeFiles } from '../../src/api/take-files.ts'
import { append } from '../../src/shared/values/append.ts'
import { canonicalJson } from '../../src/shared/values/canonical-json.ts'
import { plainSchema, schemaHash } from '../../src/shared/catalogue/rules/dialect.ts'
import { createInputChecks } from '../../src/shared/catalogue/input-check.ts'
import { readDataUri } from '../../src/shared/inputs/rules/data-uri.ts'
import { filesOf, mapInput, sameButFiles } from '../../src/shared/inputs/rules/reference.ts'
import { CommitScriptInput } from '../../src/shared/jobs/commit/commit-script.ts'
import { isTooDeep } from '../../src/shared/values/json-depth.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'
import { expectLinear } from '../support/growth.ts'

/** Work over what strangers send grows with its length. */

const LIMITS = { fileBytes: 1e6, jobBytes: 1e7, uploadBytes: 1e8, types: ['*/*'] }
const HUGE = { bytes: 1e9, values: 1e9 }
const DATA_URI = 'data:text/plain;base64,YQ=='
const UPLOAD = `/v1/uploads/upl_${'0'.repeat(26)}`
const many = <T>(n: number, one: T): T[] => Array.from({ length: n }, () => one)
const fields = (n: number, value: (i: number) => Json): JsonObject =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`f${i}`, value(i)]))

const LIST_OF_TEXTS = { type: 'array', items: { type: 'string', pattern: '^a' } }

describe('grows with the length and not with its square:', () => {
  test.each<[what: string, size: number, prepare: (n: number) => () => unknown]>([
    [
      'the same data URI in many places',
      600,
      (n) => {
        const items = [{ input: { list: many(n, DATA_URI) } }]
        return () => takeFiles({ body: { items } }, ['/items/*/input'], LIMITS)
      },
    ],
    [
      'a list to which is appended',
      4000,
      (n) => () => {
        const lists = new Map<string, number[]>()
        for (let i = 0; i < n; i++) append(lists, 'one', i)
      },
    ],
    [
      'a wrong data URI in many places',
      600,
      (n) => {
        const body = { input: { list: many(n, 'data:text/plain;base64,!') } }
        return () => takeFiles({ body }, ['/input'], LIMITS).catch(() => undefined)
      },
    ],
    [
      'many items without input',
      1000,
      (n) => {
        const body = { items: [...many(n, { input: {} }), { input: { a: DATA_URI } }] }
        return () => takeFiles({ body }, ['/items/*/input'], LIMITS)
      },
    ],
    [
      'the same upload in many places',
      2000,
      (n) => {
        const input = { list: many(n, UPLOAD) }
        return () => filesOf(input)
      },
    ],
    [
      'texts that are replaced',
      1000,
      (n) => {
        const input = { list: many(n, 'text') }
        return () => mapInput(input, (text) => text)
      },
    ],
    [
      'inputs that are compared',
      1000,
      (n) => {
        const [one, other] = [fields(n, String), fields(n, String)]
        return () => sameButFiles(one, other)
      },
    ],
    [
      'a body of many fields',
      1000,
      (n) => {
        const body = Buffer.from(JSON.stringify(fields(n, String)))
        return () => parseJsonBody(body, HUGE)
      },
    ],
    [
      'a body of many wrong values',
      1000,
      (n) => {
        const body = Buffer.from(`[${many(n, '1e999').join(',')}]`)
        return () => {
          expect(() => parseJsonBody(body, HUGE)).toThrow('cannot be represented')
        }
      },
    ],
    [
      'a body that nests many lists side by side',
      1000,
      (n) => {
        const body = Buffer.from(JSON.stringify(many(n, [[[]]])))
        return () => parseJsonBody(body, HUGE)
      },
    ],
    [
      'a canonical text',
      1000,
      (n) => {
        const value = fields(n, (i) => ({ b: i, a: 'x' }))
        return () => canonicalJson(value)
      },
    ],
    [
      'a deep look',
      1000,
      (n) => {
        const value = many(n, [[1]])
        return () => isTooDeep(value)
      },
    ],
    [
      'names of a query',
      500,
      (n) => {
        const query = new URLSearchParams(Array.from({ length: n }, (_, i) => `n${i}=1&n${i}=2`).join('&'))
        return () => queryObject(query)
      },
    ],
    [
      'a data URI with percents',
      5000,
      (n) => {
        const text = `data:text/plain,${'%41'.repeat(n)}`
        return () => readDataUri(text, 1e9)
      },
    ],
    [
      'a data URI in base64',
      100_000,
      (n) => {
        const text = `data:text/plain;base64,${'QUFB'.repeat(n)}`
        return () => readDataUri(text, 1e9)
      },
    ],
    [
      'a text that begins like a data URI',
      20_000,
      (n) => {
        const text = `data:${';a'.repeat(n)}`
        return () => readDataUri(text, 1e9)
      },
    ],
    [
      'keys of a commit',
      500,
      (n) => () => {
        const input = new CommitScriptInput('job', 'account')
        for (let i = 0; i < n; i++) input.add('hset', `{prefix}:job:${i}`, 'a', 'b').add('del', `{prefix}:job:${i}`)
      },
    ],
    [
      'an input with many wrong items',
      1000,
      (n) => {
        const check = createInputChecks()({
          type: 'object',
          properties: { a: { type: 'array', items: { type: 'integer' } } },
        })
        const input = { a: many(n, 'x') }
        return () => check(input)
      },
    ],
    [
      'an input with many texts for a pattern',
      150,
      (n) => {
        const check = createInputChecks()({ type: 'object', properties: { a: LIST_OF_TEXTS } })
        const input = { a: many(n, 'a') }
        return () => check(input)
      },
    ],
    [
      'a schema of many fields',
      60,
      (n) => {
        const schema = { properties: fields(n, () => ({ type: 'string', title: 'x' })) }
        return () => schemaHash(plainSchema(schema)?.schema ?? {})
      },
    ],
  ])('%s', async (what, size, prepare) => expectLinear(what, size, prepare))
})

test('a request is limited in data URIs and in the places that hold them', async () => {
  const refusal = expect.objectContaining({ fields: [expect.objectContaining({ code: 'too_many_files' })] })
  const inputs = (list: Json) => takeFiles({ body: { input: { list } } }, ['/input'], LIMITS)
  await expect(inputs(many(10_001, DATA_URI))).rejects.toEqual(refusal)
  await expect(inputs(Array.from({ length: 1001 }, (_, i) => `data:text/plain,${i}`))).rejects.toEqual(refusal)
  expect((await inputs(many(10_000, DATA_URI))).size).toBe(1)
})
