import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BUDGET_PERIODS, isTimeZone, periodAt, periodFrom } from '../../src/shared/credits/rules/period.ts'

const ms = (text: string): number => Date.parse(text)

describe('a period', () => {
  test.each([
    // Summer time begins and ends.
    ['day', 'Europe/Berlin', '2026-03-29T12:00Z', '2026-03-29', '2026-03-28T23:00Z', '2026-03-29T22:00Z'],
    ['day', 'Europe/Berlin', '2026-10-25T12:00Z', '2026-10-25', '2026-10-24T22:00Z', '2026-10-25T23:00Z'],
    ['week', 'Europe/Berlin', '2026-03-29T21:59Z', '2026-03-23', '2026-03-22T23:00Z', '2026-03-29T22:00Z'],
    ['week', 'UTC', '2026-01-01T00:00Z', '2025-12-29', '2025-12-29T00:00Z', '2026-01-05T00:00Z'],
    ['month', 'UTC', '2026-01-31T23:59Z', '2026-01-01', '2026-01-01T00:00Z', '2026-02-01T00:00Z'],
    ['month', 'Asia/Kathmandu', '2026-12-31T18:15Z', '2027-01-01', '2026-12-31T18:15Z', '2027-01-31T18:15Z'],
    ['day', 'Pacific/Kiritimati', '2026-06-01T11:00Z', '2026-06-02', '2026-06-01T10:00Z', '2026-06-02T10:00Z'],
    // Midnight does not exist there on this day.
    ['day', 'America/Santiago', '2026-09-06T12:00Z', '2026-09-06', '2026-09-06T04:00Z', '2026-09-07T03:00Z'],
    // The day before was left out.
    ['day', 'Pacific/Apia', '2011-12-30T12:00Z', '2011-12-31', '2011-12-30T10:00Z', '2011-12-31T10:00Z'],
  ] as const)('%s in %s at %s', (period, zone, at, name, from, until) => {
    expect(periodAt(period, zone, ms(at))).toEqual({ name, from: ms(from), until: ms(until) })
  })

  test('contains its time, follows the one before it, and is found by its name', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/Havana', 'Asia/Beirut', 'Australia/Lord_Howe', 'America/Sao_Paulo']
    fc.assert(
      fc.property(
        fc.constantFrom(...BUDGET_PERIODS),
        fc.constantFrom(...zones),
        fc.integer({ min: ms('2000-01-01T00:00Z'), max: ms('2040-01-01T00:00Z') }),
        (kind, zone, at) => {
          const period = periodAt(kind, zone, at)
          expect(period.from <= at && at < period.until).toBe(true)
          expect(periodAt(kind, zone, period.from)).toEqual(period)
          expect(periodAt(kind, zone, period.until - 1)).toEqual(period)
          expect(periodAt(kind, zone, period.until).from).toBe(period.until)
          expect(periodFrom(kind, zone, period.name)).toEqual(period)
        },
      ),
      { numRuns: 200 },
    )
  })
})

test.each([
  ['Europe/Berlin', true],
  ['UTC', true],
  ['America/Argentina/Buenos_Aires', true],
  ['Europe/Bärlin', false],
  ['+01:00', false],
  ['Mars/Olympus', false],
  ['', false],
])('%s is a time zone: %s', (text, is) => {
  expect(isTimeZone(text)).toBe(is)
})
