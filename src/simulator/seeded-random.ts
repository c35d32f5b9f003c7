/** Reproducible random numbers: the same words give the same numbers in every process. Not for secrets. */
export interface SeededRandom {
  /** A number in [0, 1). */
  next(): number
  between(low: number, high: number): number
  integer(low: number, high: number): number
  pick<T>(items: readonly [T, ...T[]]): T
  chance(probability: number): boolean
}

export function seededRandom(...words: readonly (string | number)[]): SeededRandom {
  const next = sfc32(words.join('\u0000'))
  const between = (low: number, high: number) => low + (high - low) * next()
  const integer = (low: number, high: number) => Math.floor(between(low, high + 1))
  return {
    next,
    between,
    integer,
    pick: (items) => items[integer(0, items.length - 1)] ?? items[0],
    chance: (probability) => next() < probability,
  }
}

/** A 32-bit hash of a text. */
export function hashOf(text: string): number {
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  return hash >>> 0
}

/** The generator "sfc32" by Chris Doty-Humphrey, seeded with four hashes of the text. */
function sfc32(text: string): () => number {
  let a = hashOf(`a${text}`)
  let b = hashOf(`b${text}`)
  let c = hashOf(`c${text}`)
  let counter = 1
  const next = () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 4294967296
  }
  for (let i = 0; i < 12; i++) next()
  return next
}
