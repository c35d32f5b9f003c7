/** Far more than any model answers with, and far less than any stack holds. */
export const MAX_JSON_DEPTH = 100

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null

/**
 * Whether a JSON value nests arrays and objects more than `max` levels deep. JSON.parse reads any depth, but whatever walks
 * a value by recursion, JSON.stringify among them, overflows the stack from some thousands on. This goes level by level.
 */
export function isTooDeep(value: unknown, max = MAX_JSON_DEPTH): boolean {
  let level = [value].filter(isNested)
  for (let depth = 0; depth < max && level.length > 0; depth++)
    level = level.flatMap((one) => Object.values(one)).filter(isNested)
  return level.length > 0
}
