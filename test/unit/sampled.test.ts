import { expect, test } from 'vitest'
import { createSampler } from '../../src/shared/values/sampled.ts'

test('the first of a kind passes, then one a minute that says how many did not', () => {
  let now = 0
  const sample = createSampler({ now: () => now })
  expect(sample('a')).toBe(0)
  expect([sample('a'), sample('a'), sample('b')]).toEqual([null, null, 0])
  now = 60_000
  expect([sample('a'), sample('a'), sample('b')]).toEqual([2, null, 0])
})

test('kinds are forgotten when there are too many', () => {
  const sample = createSampler({ now: () => 0 })
  for (let i = 0; i < 5000; i++) expect(sample(`kind ${i}`)).toBe(0)
  expect(sample('kind 4999')).toBeNull()
  expect(sample('kind 0')).toBe(0)
})
