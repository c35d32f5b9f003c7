/** Seeded randomness; each name has its own stream, so that one actor does not shift another's. */
export interface Dice {
  /** [0, 1) */
  next(): number
  between(low: number, high: number): number
  integer(low: number, high: number): number
  pick<const T>(items: readonly [T, ...T[]]): T
  chance(probability: number): boolean
}

export function dice(seed: number, name: string): Dice {
  let state = seed >>> 0
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193) >>> 0
  /** mulberry32 */
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const between = (low: number, high: number): number => low + (high - low) * next()
  const integer = (low: number, high: number): number => Math.floor(between(low, high + 1))
  return {
    next,
    between,
    integer,
    pick: (items) => items[integer(0, items.length - 1)] ?? items[0],
    chance: (probability) => next() < probability,
  }
}
