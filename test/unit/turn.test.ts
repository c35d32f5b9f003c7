import { describe, expect, test } from 'vitest'
import {
  forecastError,
  forecastStart,
  positionOf,
  startsIn,
  type Pace,
  type Turn,
} from '../../src/shared/jobs/rules/turn.ts'

const NONE: Turn = {
  priority: 'interactive',
  tenant: 'mine',
  tag: 0,
  step: 1,
  ahead: 0,
  isChosen: false,
  blocked: null,
  isPaused: false,
  slots: [],
  rivals: [],
  moreRivals: 0,
  otherClass: 0,
  turns: 0,
  inHand: 0,
}
const rival = (tenant: string, jobs: number, changes = {}) => ({ tenant, tag: 0, jobs, step: 1, ...changes })

describe('the position of a job', () => {
  test.each<[name: string, turn: Partial<Turn>, position: number]>([
    ['is 0 when nobody else waits', {}, 0],
    ['counts the earlier jobs of its tenant', { ahead: 7 }, 7],
    ['of a lone job beside a crowd is small', { rivals: [rival('crowd', 10_000)] }, 1],
    ['alternates with a crowd', { ahead: 10, rivals: [rival('crowd', 10_000)] }, 21],
    ['counts no more jobs than there are', { ahead: 10, rivals: [rival('crowd', 3)] }, 13],
    ['is one less where its tenant is first among equals', { ahead: 10, rivals: [rival('others', 100)] }, 20],
    ['follows weights', { ahead: 9, rivals: [rival('crowd', 100, { step: 1 / 3 })] }, 37],
    ['counts nobody who begins later', { ahead: 3, rivals: [rival('crowd', 100, { tag: 3.5 })] }, 3],
    ['leaves its own tenant out', { ahead: 3, rivals: [rival('mine', 100)] }, 3],
    ['takes tenants beyond those that were read as the last of these', { rivals: [rival('a', 5)], moreRivals: 4 }, 5],
    ['has one of a batch after nine', { ahead: 20, otherClass: 100 }, 22],
    ['has one of a batch soon when nine have been', { ahead: 0, otherClass: 100, turns: 9 }, 1],
    ['of a batch has nine interactive ones before each', { priority: 'batch', ahead: 1, otherClass: 100 }, 19],
    ['of a batch has no more interactive ones before it than wait', { priority: 'batch', otherClass: 4 }, 4],
    ['counts what workers have in hand', { ahead: 2, inHand: 5 }, 7],
    ['is 0 once a worker has it', { ahead: 2, inHand: 5, isChosen: true }, 0],
  ])('%s', (_name, turn, position) => {
    expect(positionOf({ ...NONE, ...turn })).toBe(position)
  })
})

describe('the forecast of a start', () => {
  const PACE: Pace = { perMinute: 60, free: 0, pausedFor: 0 }
  const run = { p50: 10, p90: 20 }
  const slots = (held: number, ahead: number, limit = 2) => [{ scope: 'preset:page', limit, held, ahead }]
  test.each<[name: string, turn: Partial<Turn>, pace: Partial<Pace>, run: typeof run | null, expected: number | null]>([
    ['is now while a token is free', {}, { free: 1 }, null, 0],
    ['follows the rate', { ahead: 29 }, {}, null, 30],
    ['follows a lowered rate', { ahead: 29 }, { perMinute: 6 }, null, 300],
    ['is later by a pause', { ahead: 29 }, { pausedFor: 5000 }, null, 35],
    ['is not known while an operator has paused it', { isPaused: true }, {}, run, null],
    ['follows runs where slots are missing', { slots: slots(2, 3) }, { free: 9 }, run, 20],
    ['needs nothing where a slot is free', { slots: slots(1, 0) }, { free: 9 }, null, 0],
    ['is not known where nobody knows how long runs take', { slots: slots(2, 0) }, { free: 9 }, null, null],
    ['is not known where the limit is 0', { slots: slots(0, 0, 0) }, { free: 9 }, run, null],
    ['is that of the create where slots are free sooner', { ahead: 99, slots: slots(2, 0) }, {}, run, 100],
  ])('%s', (_name, turn, pace, known, expected) => {
    expect(forecastStart({ ...NONE, ...turn }, { ...PACE, ...pace }, known)).toBe(expected)
  })

  test.each([
    [30, null, { p50: 30, p90: 61 }],
    [0, null, { p50: 0, p90: 1 }],
    [30, { p50: 0.5, p90: 1.2 }, { p50: 15, p90: 36 }],
    [30, { p50: 2, p90: 1 }, { p50: 61, p90: 61 }],
    [0, { p50: 1000, p90: 1000 }, { p50: 9, p90: 9 }],
  ])('of %d s is shown with the errors of late', (forecast, errors, range) => {
    expect(startsIn(forecast, errors)).toEqual(range)
  })

  test('is compared with the real wait', () => {
    expect([forecastError(9, 19), forecastError(0, 0), forecastError(3, -1)]).toEqual([2, 1, 0.25])
  })
})
