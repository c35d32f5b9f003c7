import { describe, expect, test } from 'vitest'
import { isTooDeep, MAX_JSON_DEPTH } from '../../src/shared/values/json-depth.ts'
import { predictionSchema } from '../../src/shared/replicate/rules/prediction.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { context, NOW, stateIn } from './support/job-states.ts'

const deep = (depth: number, core = ''): unknown => JSON.parse('['.repeat(depth) + core + ']'.repeat(depth))

describe('the depth of a JSON value', () => {
  test.each<[what: string, value: unknown, max: number, tooDeep: boolean]>([
    ['a word is flat', 'word', 0, false],
    ['nothing is flat', null, 0, false],
    ['an empty list is one level', [], 0, true],
    ['an empty list is one level', [], 1, false],
    ['the deepest branch counts', { a: 1, b: [{ c: [1] }], d: [] }, 3, true],
    ['the deepest branch counts', { a: 1, b: [{ c: [1] }], d: [] }, 4, false],
    ['as much as may be', deep(MAX_JSON_DEPTH), MAX_JSON_DEPTH, false],
    ['one more', deep(MAX_JSON_DEPTH + 1), MAX_JSON_DEPTH, true],
    ['a million', deep(1_000_000), MAX_JSON_DEPTH, true],
  ])('%s', (_what, value, max, tooDeep) => {
    expect(isTooDeep(value, max)).toBe(tooDeep)
  })
})

describe('a prediction whose fields are nested without end', () => {
  const row = { id: 'own-prediction', status: 'succeeded', created_at: '2026-11-22T12:00:00Z' }

  test('is read, with what can be used of it', () => {
    const fields = { output: deep(10_000), input: { x: deep(10_000) }, metrics: { y: deep(10_000) } }
    expect(predictionSchema.parse({ ...row, ...fields, error: deep(10_000) })).toMatchObject({
      id: row.id,
      status: 'succeeded',
      output: null,
      output_too_deep: true,
      input: null,
      metrics: null,
      error: expect.stringContaining('too deeply'),
    })
    expect(predictionSchema.parse({ ...row, output: deep(50, '"x"') })).not.toHaveProperty('output_too_deep')
  })

  test('fails its job with the reason, and was paid for', () => {
    const prediction = predictionSchema.parse({ ...row, output: deep(10_000) })
    const decision = transition(stateIn('running'), { type: 'observed', attempt: 1, prediction }, context(NOW))
    expect(decision).toMatchObject({
      job: { phase: 'failed', error: { code: 'output_not_stored', billed: 'yes', retryable: true } },
    })
    expect(JSON.stringify(decision)).toContain(`The limit is ${MAX_JSON_DEPTH} levels.`)
  })
})
