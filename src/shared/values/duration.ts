/** Durations as text: a whole number with a unit, such as `90m`, `24h` or `30d`. */

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const
const FROM_LARGEST = Object.entries(UNITS).toReversed()
const DURATION = /^(\d{1,6})([smhd])$/

/** Returns seconds; null when the text is no duration. */
export function parseDuration(text: string): number | null {
  const [, count = '', unit = ''] = DURATION.exec(text) ?? []
  const size = Object.entries(UNITS).find(([name]) => name === unit)?.[1]
  return size === undefined ? null : Number(count) * size
}

/** Formats seconds in the largest exact unit: 86400 is `1d`. Infinity is `forever`. */
export function formatDuration(seconds: number): string {
  if (seconds === Infinity) return 'forever'
  const [name, size] = FROM_LARGEST.find(([, one]) => seconds > 0 && seconds % one === 0) ?? ['s', 1]
  return `${seconds / size}${name}`
}
