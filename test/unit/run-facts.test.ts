import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { inputHash, pinned, runFacts, seedOf } from '../../src/shared/jobs/rules/run-facts.ts'
import type { Json, JsonObject } from '../../src/shared/values/json.ts'
import { jobRecord, prediction } from './support/job-states.ts'

const VERSION = 'a'.repeat(64)

describe('a seed', () => {
  test.each<[string, JsonObject, { metrics?: JsonObject; output?: Json; logs?: string }, number | null]>([
    ['that was asked for', { seed: 7 }, { metrics: { seed: 8 }, logs: 'Using seed: 9' }, 7],
    ['that was asked for as 0', { seed: 0 }, { logs: 'Using seed: 9' }, 0],
    ['of the metrics', {}, { metrics: { seed: 8 }, logs: 'Using seed: 9' }, 8],
    ['of the output', {}, { output: { seed: 5, images: [] }, logs: 'Using seed: 9' }, 5],
    ['of the logs', {}, { logs: 'loading\nUsing seed: 12345\n50%|' }, 12_345],
    ['of the logs, in other words', {}, { logs: 'Random seed is 42' }, 42],
    ['of the logs, as a setting', {}, { logs: 'steps=4 seed=77' }, 77],
    [
      'that is none',
      { seed: -1 },
      { metrics: { seed: 1.5 }, output: { seed: 'x' }, logs: 'seedling 4, seeds: 3, seed: x' },
      null,
    ],
    ['far behind the beginning', {}, { logs: `${'x'.repeat(20_000)} seed: 1` }, null],
    ['nowhere', {}, {}, null],
  ])('%s', (_where, input, reported, seed) => {
    expect(seedOf(input, prediction('succeeded', reported))).toBe(seed)
  })
})

test('the model and version come from the prediction', () => {
  const job = jobRecord('running', { input: { seed: 3 } })
  expect(runFacts(job, prediction('succeeded', { version: VERSION }))).toEqual({ resolved_version: VERSION, seed: 3 })
  expect(runFacts(job, prediction('failed', { version: 'hidden' }))).toEqual({ resolved_version: 'hidden', seed: 3 })
})

test('the model of a bare version comes from the prediction too', () => {
  const bare = jobRecord('running', { model: null, version: VERSION, input: { seed: 3 } })
  const reported = { version: VERSION, model: 'owner/name' }
  expect(runFacts(bare, prediction('succeeded', reported))).toMatchObject({ resolved_model: 'owner/name' })
  for (const known of [{ version: `a/b:${VERSION}` }, { version: null, deployment: 'a/b' }])
    expect(runFacts({ ...bare, ...known }, prediction('succeeded', reported))).not.toHaveProperty('resolved_model')
  expect(runFacts(bare, prediction('succeeded', { model: 'no name' }))).not.toHaveProperty('resolved_model')
})

describe('once more, pinned,', () => {
  const job = (changes: Parameters<typeof jobRecord>[1]) =>
    jobRecord('succeeded', { input: { prompt: 'x' }, ...changes })

  test('a model by its name has the version that ran, and the seed that was drawn', () => {
    expect(pinned(job({ model: 'owner/name', resolved_version: VERSION, seed: 7 }))).toEqual({
      target: { model: null, version: `owner/name:${VERSION}`, deployment: null },
      input: { prompt: 'x', seed: 7 },
    })
  })

  test('a deployment has the version that ran there', () => {
    expect(pinned(job({ model: null, deployment: 'owner/live', resolved_version: VERSION }))).toEqual({
      target: { model: null, version: VERSION, deployment: null },
      input: { prompt: 'x' },
    })
  })

  test('a version stays what it is', () => {
    const target = { model: null, version: `owner/name:${VERSION}`, deployment: null }
    expect(pinned(job({ ...target, resolved_version: VERSION }))?.target).toEqual(target)
    expect(pinned(job({ ...target, resolved_version: null }))?.target).toEqual(target)
  })

  test.each(['hidden', 'dp-0123456789abcdef0123456789abcdef', null])(
    'of the version %s only the seed is',
    (resolved_version) => {
      expect(pinned(job({ model: 'owner/name', resolved_version, seed: 7 }))).toEqual({
        target: { model: 'owner/name', version: null, deployment: null },
        input: { prompt: 'x', seed: 7 },
      })
      expect(pinned(job({ model: 'owner/name', resolved_version, seed: null }))).toBeNull()
    },
  )

  test('nothing is without the input', () => {
    expect(pinned(job({ input: null, resolved_version: VERSION, seed: 7 }))).toBeNull()
  })
})

test('the hash of an input is that of its JSON with keys in order, and is remembered when it is gone', () => {
  const text = '{"a":[1,{"c":"x","d":null}],"b":true}'
  const hash = createHash('sha256').update(text).digest('hex')
  expect(inputHash({ input: { b: true, a: [1, { d: null, c: 'x' }] }, input_sha256: null })).toBe(hash)
  expect(inputHash({ input: null, input_sha256: hash })).toBe(hash)
  expect(inputHash({ input: null, input_sha256: null })).toBeNull()
})
