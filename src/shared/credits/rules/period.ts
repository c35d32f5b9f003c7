import { dayAfter } from './spending.ts'

/** Calendar periods of a time zone, for budgets. */

export const BUDGET_PERIODS = ['day', 'week', 'month'] as const
export type BudgetPeriod = (typeof BUDGET_PERIODS)[number]

/** From `from` until before `until`, ms. */
export interface Period {
  /** Its first day there, `2026-01-31`. */
  name: string
  from: number
  until: number
}

const HOUR_MS = 3_600_000
/** More than any time zone is ahead of UTC, and behind it, h. */
const [MOST_AHEAD, MOST_BEHIND] = [15, 36]
const MAX_REMEMBERED = 1000

const formats = new Map<string, Intl.DateTimeFormat>()
function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  })
  formats.set(timeZone, format)
  return format
}

/** Whether the text is the name of a time zone, such as `Europe/Berlin` or `UTC`; an offset is none. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z][\w+/-]*$/.test(text)) return false
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: text }).resolvedOptions().timeZone !== ''
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** The day there at a time, ms, as `2026-01-31`. */
function localDay(timeZone: string, at: number): string {
  const parts = new Map(
    formatOf(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  )
  return `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`
}

const starts = new Map<string, number>()

/** When a day begins there, ms: the first instant of that day, or of the next one where a zone left the day out. */
function startOf(timeZone: string, day: string): number {
  const entry = `${timeZone} ${day}`
  const known = starts.get(entry)
  if (known !== undefined) return known
  const isBefore = (at: number): boolean => localDay(timeZone, at) < day
  const midnight = Date.parse(`${day}T00:00:00.000Z`)
  let late = midnight - MOST_AHEAD * HOUR_MS
  while (isBefore(late) && late < midnight + MOST_BEHIND * HOUR_MS) late += HOUR_MS
  let early = late - HOUR_MS
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2)
    if (isBefore(middle)) early = middle
    else late = middle
  }
  if (starts.size >= MAX_REMEMBERED) starts.clear()
  starts.set(entry, late)
  return late
}

/** The first day of the period that contains the day. Weeks begin on Monday. */
function firstDay(period: BudgetPeriod, day: string): string {
  if (period === 'day') return day
  if (period === 'month') return `${day.slice(0, 7)}-01`
  const sinceMonday = (new Date(`${day}T00:00:00.000Z`).getUTCDay() + 6) % 7
  return dayAfter(day, -sinceMonday)
}

function nextFirstDay(period: BudgetPeriod, first: string): string {
  if (period === 'day') return dayAfter(first, 1)
  if (period === 'week') return dayAfter(first, 7)
  return firstDay('month', dayAfter(first, 31))
}

/** The period that begins with this day. */
export const periodFrom = (period: BudgetPeriod, timeZone: string, first: string): Period => ({
  name: first,
  from: startOf(timeZone, first),
  until: startOf(timeZone, nextFirstDay(period, first)),
})

/** The period that contains a time, ms. */
export function periodAt(period: BudgetPeriod, timeZone: string, at: number): Period {
  let first = firstDay(period, localDay(timeZone, at))
  // A clock that is set back over midnight repeats the end of a day whose period is over.
  while (startOf(timeZone, nextFirstDay(period, first)) <= at) first = nextFirstDay(period, first)
  return periodFrom(period, timeZone, first)
}
