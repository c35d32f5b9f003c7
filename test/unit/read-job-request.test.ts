import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jobRequestSchema, parseWith, readJobRequest } from '../../src/api/schemas.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { examples } from '../support/property-seed.ts'

const outcome = (read: () => unknown): unknown => {
  try {
    return { request: read() }
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return { code: error.code, message: error.message, fields: error.fields }
  }
}

/** Both ways, with the order of the fields. */
function compare(given: unknown): void {
  const bySchema = outcome(() => parseWith(jobRequestSchema, given, '/items/3'))
  const byHand = outcome(() => readJobRequest(given, '/items/3'))
  expect(byHand).toStrictEqual(bySchema)
  expect(JSON.stringify(byHand)).toBe(JSON.stringify(bySchema))
}

const version = 'a'.repeat(64)
const name = fc.constantFrom(
  'story-page',
  'acme/anvil',
  version,
  `acme/anvil:${version}`,
  '',
  'Not A Name',
  'a/b/c',
  'x'.repeat(200),
)
const json = fc.jsonValue({ maxDepth: 2 })
const object = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 })),
  fc.constant({ text: 'x'.repeat(70_000) }),
  fc.constant({ text: 'ü'.repeat(2500) }),
  fc.constant(JSON.parse('{ "__proto__": 1 }')),
  json,
)
const request = fc.record(
  {
    preset: name,
    model: name,
    version: name,
    deployment: name,
    input: object,
    metadata: object,
    timeout: fc.oneof(fc.integer({ min: 0, max: 2000 }), json),
    store: fc.constantFrom('copy', 'none', 'other', null),
    other: json,
  },
  { requiredKeys: [] },
)
/** Most requests name one target and set no policy. */
const usual = fc
  .tuple(fc.constantFrom('preset', 'model', 'version', 'deployment'), name, object, fc.option(object))
  .map(([target, value, input, metadata]) => ({ input, ...(metadata === null ? {} : { metadata }), [target]: value }))

describe('a request that is read by hand is what the schema makes of it', () => {
  test('for usual ones', () => {
    fc.assert(fc.property(usual, compare), { numRuns: examples(1000) })
    compare({ preset: 'story-page', input: { prompt: 'a fox' }, metadata: { page: 1 } })
    compare(JSON.parse('{ "__proto__": "x", "preset": "story-page", "input": {} }'))
  })

  test('for any', () => {
    fc.assert(fc.property(request, compare), { numRuns: examples(1000) })
    fc.assert(fc.property(json, compare))
    for (const given of [undefined, null, [], '', {}]) compare(given)
  })
})
