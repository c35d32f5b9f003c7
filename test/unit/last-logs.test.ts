import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { keptLogs, lastBytes, LOG_BYTES } from '../../src/shared/replicate/rules/last-logs.ts'
import { examples } from '../support/property-seed.ts'

test('the end of a text has at most so many bytes, in whole characters, and nothing is left out without need', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 1, max: 100 }), (text, max) => {
      const end = lastBytes(text, max)
      expect(text.endsWith(end)).toBe(true)
      expect(Buffer.byteLength(end)).toBeLessThanOrEqual(max)
      const before = /.$/su.exec(text.slice(0, text.length - end.length))?.[0]
      if (before !== undefined) expect(Buffer.byteLength(before + end)).toBeGreaterThan(max)
    }),
    { numRuns: examples(300) },
  )
})

test('logs are kept up to 64 KiB; a prediction without logs has none', () => {
  expect(keptLogs(null)).toBe('')
  expect(keptLogs(`x${'y'.repeat(LOG_BYTES)}`)).toBe('y'.repeat(LOG_BYTES))
})
