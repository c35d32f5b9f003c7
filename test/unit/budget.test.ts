import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { intervalOf, leftBy, READ_PURPOSES, tokensFree } from '../../src/shared/limits/rules/budget.ts'

const rates = fc.record({ perMinute: fc.integer({ min: 1, max: 6000 }), burst: fc.integer({ min: 1, max: 100 }) })

test('what is free of a budget is what the rule of the script would give at once', () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 0, max: 200 }), (rate, taken) => {
      const interval = intervalOf(rate)
      const tolerance = interval * (rate.burst - 1)
      let arrival = taken * interval
      let given = 0
      while (arrival - tolerance <= 1e-3) {
        arrival += interval
        given += 1
      }
      // A hair of a token may be lost in the division.
      expect(tokensFree(rate, taken * interval - 1e-3, 0)).toBe(given)
    }),
  )
})

test('a budget that was not used for long is whole, and no more than that', () => {
  expect(tokensFree({ perMinute: 600, burst: 10 }, 0, 1e15)).toBe(10)
})

test('each purpose leaves something to those that go before it, and nothing else, as far as there is anything', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), (burst) => {
      const left = READ_PURPOSES.map((purpose) => leftBy(purpose, burst))
      expect(left[0]).toBe(0)
      for (const [i, tokens] of left.entries()) {
        expect(tokens).toBeLessThan(burst)
        expect(tokens).toBeGreaterThanOrEqual(left[i - 1] ?? 0)
        if (burst >= 5 && i > 0) expect(tokens).toBeGreaterThan(left[i - 1] ?? 0)
      }
      expect(leftBy('poll', burst)).toBeLessThanOrEqual(Math.ceil(burst / 2))
    }),
  )
})
