import { describe, expect, test } from 'vitest'
import { span } from '../../src/cli/format.ts'
import type { Job, JobPhase } from '../../src/client/types.ts'
import { duration, moment } from '../../src/studio/format.ts'
import { sharesOf } from '../../src/studio/run/shares.ts'

/** Times as people read them, at a terminal and in Studio. */

test.each([
  [0.04, '0.0 s'],
  [59.94, '59.9 s'],
  [59.96, '1 min 0 s'],
  [119.4, '1 min 59 s'],
  [119.7, '2 min 0 s'],
  [3599.9, '60 min 0 s'],
])('%d seconds at a terminal: %s', (seconds, words) => expect(span(seconds)).toBe(words))

test('no number of seconds gives a part of 60', () => {
  for (let tenths = 0; tenths < 10_000; tenths++) {
    expect(span(tenths / 10 + 0.07)).not.toMatch(/\b60(\.0)? s/)
    expect(duration(tenths * 100 + 70)).not.toMatch(/\b(60 s|60 m|10\.0 s)/)
  }
})

test.each([
  [99.9, '99 ms'],
  [9_960, '9.9 s'],
  [59_990, '59 s'],
  [119_700, '1 m 59 s'],
])('%d ms in Studio: %s', (ms, words) => expect(duration(ms)).toBe(words))

test('a moment that is not of today has its day', () => {
  const now = new Date(2026, 2, 4, 12).getTime()
  const at = (day: number) => new Date(2026, 2, day, 9, 5, 7).toISOString()
  expect(moment(at(4), now)).toMatch(/^0?9:05:07/)
  expect(moment(at(3), now)).toMatch(/3.*0?9:05:07/)
})

describe('where the time of a run went', () => {
  const at = (second: number): string => new Date(1_000_000 + second * 1000).toISOString()
  const job = (times: Partial<Job>): Job =>
    ({ attempt: 1, created_at: at(0), submitted_at: at(10), started_at: at(12), completed_at: at(20), ...times }) as Job
  const shares = (run: Job, history: [JobPhase, number][] = []) =>
    sharesOf(
      run,
      history.map(([phase, second]) => ({ phase, at: at(second) })),
    ).map(({ name, ms }) => `${name} ${ms / 1000}`)

  test('with one attempt', () => {
    const expected = ['In the queue 10', 'Starting up 2', 'Running and saving 8']
    expect(shares(job({}))).toEqual(expected)
    expect(
      shares(job({}), [
        ['queued', 0],
        ['submitting', 10],
      ]),
    ).toEqual(expected)
  })

  test('with several: earlier ones are not the queue', () => {
    const run = job({ attempt: 2 })
    expect(
      shares(run, [
        ['queued', 0],
        ['submitting', 1],
        ['resubmitting', 9],
      ]),
    ).toEqual(['In the queue 1', 'Earlier attempts 9', 'Starting up 2', 'Running and saving 8'])
    // Before the history is there, nothing is said that may be wrong.
    expect(shares(run)).toEqual(['Starting up 2', 'Running and saving 8'])
  })

  test('of a run in progress is not shown', () => {
    expect(shares(job({ completed_at: null }))).toEqual([])
  })
})
