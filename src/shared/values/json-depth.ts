/** Limit of nesting: far above any model's output, and far below any stack limit. */
export const MAX_JSON_DEPTH = 100

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null

/**
 * Whether a JSON value nests arrays and objects more than `max` levels deep. JSON.parse accepts any depth, but recursive
 * code, JSON.stringify included, overflows the stack at some thousands of levels. This check is iterative.
 */
export function isTooDeep(value: unknown, max = MAX_JSON_DEPTH): boolean {
  let level = [value].filter(isNested)
  for (let depth = 0; depth < max && level.length > 0; depth++)
    level = level.flatMap((one) => Object.values(one)).filter(isNested)
  return level.length > 0
}
