import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { predictionSchema, readPrediction } from '../../src/shared/replicate/rules/prediction.ts'
import { examples } from '../support/property-seed.ts'

/** A body as it arrives: only what JSON can say. */
const arrived = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constant(null),
  fc.constant('2026-11-30T10:00:00.123456Z'),
  fc.constant({ seconds: 1.5 }),
  fc.constant({ long: 'x'.repeat(70_000) }),
  fc.constant({ deep: nested(120) }),
  fc.constant(nested(120)),
  fc.constant('x'.repeat(30_000)),
  fc.constant(JSON.parse('{ "__proto__": 1, "a": 2 }')),
  fc.constant(JSON.parse('{ "constructor": 1, "toString": null }')),
  fc.integer(),
)
const FIELDS = [
  'model',
  'version',
  'input',
  'output',
  'error',
  'logs',
  'metrics',
  'created_at',
  'started_at',
  'completed_at',
  'data_removed',
  'webhook',
  'output_left_out',
  'logs_left_out',
  'urls',
] as const
const text = fc.option(fc.string(), { nil: null })
const usual = fc.record(
  {
    id: fc.stringMatching(/^[A-Za-z0-9_-]{1,30}$/),
    status: fc.constantFrom('starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted', 'new'),
    model: text,
    version: text,
    input: fc.option(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 })), { nil: null }),
    output: fc.jsonValue({ maxDepth: 2 }),
    error: text,
    logs: text,
    metrics: fc.option(fc.dictionary(fc.string(), fc.double({ noNaN: true })), { nil: null }),
    created_at: fc.oneof(text, fc.constant('2026-11-30T10:00:00.123456Z')),
    data_removed: fc.option(fc.boolean(), { nil: null }),
    webhook: text,
  },
  { requiredKeys: ['id', 'status'] },
)

/** Both ways, with the order of the fields. */
function compare(value: unknown): void {
  const bySchema = predictionSchema.safeParse(value).data ?? null
  expect(readPrediction(value)).toStrictEqual(bySchema)
  expect(JSON.stringify(readPrediction(value))).toBe(JSON.stringify(bySchema))
}

describe('a prediction that is read by hand is what the schema makes of it', () => {
  test('for usual bodies, some of them with one odd field', () => {
    fc.assert(
      fc.property(usual, fc.option(fc.tuple(fc.constantFrom('id', 'status', ...FIELDS), odd)), (body, change) => {
        compare(arrived(change === null ? body : { ...body, [change[0]]: change[1] }))
      }),
      { numRuns: examples(1000) },
    )
  })

  test('for fields of any kind', () => {
    const fields = fc.record(Object.fromEntries(FIELDS.map((name) => [name, odd])), { requiredKeys: [] })
    fc.assert(
      fc.property(fields, (body) => {
        compare(arrived({ id: 'abc', status: 'starting', ...body }))
      }),
      { numRuns: examples(500) },
    )
  })

  test('for anything else', () => {
    fc.assert(fc.property(odd, (value) => compare(arrived(value))))
    compare(undefined)
    compare(JSON.parse('{ "__proto__": 1, "id": "abc", "status": "starting" }'))
    compare({ id: 'x'.repeat(129), status: 'starting' })
    compare({ id: 'abc', status: 'x'.repeat(65) })
  })
})
