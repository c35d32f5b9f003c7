const FRESH_MS = 10 * 60_000
/** Cache time of something absent, ms: it can appear at any moment. */
const ABSENT_MS = 15_000
/** Time after a failed read in which callers do not wait for the same thing, ms. */
const PATIENCE_MS = 30_000
const MAX_CACHED = 500

interface Entry<T> {
  /** undefined: not read yet; null: there is no such thing. */
  value: T | null | undefined
  /** Time of the last successful read, ms. */
  at: number
  /** Time of the last failed read, ms. */
  failedAt: number
  pending: Promise<T | null> | null
}

/** Limit of all values together, for values of different sizes. */
export interface CacheWeight<T> {
  most: number
  of: (value: T) => number
}

/**
 * What upstream has under some names, cached for ten minutes; an older entry serves while upstream is unreachable. `fetch`:
 * one read from upstream; null: there is no such thing.
 */
export function createUpstreamCache<T>(weight: CacheWeight<T> = { most: Infinity, of: () => 0 }) {
  const cache = new Map<string, Entry<T>>()

  function dropOldest(): void {
    const oldest = cache.keys().next()
    if (!oldest.done) cache.delete(oldest.value)
  }

  /** Drops the oldest entries until the others are light enough. */
  function lighten(): void {
    const weightOf = ({ value }: Entry<T>): number => (value === undefined || value === null ? 0 : weight.of(value))
    let sum = [...cache.values()].reduce((total, entry) => total + weightOf(entry), 0)
    for (const [key, entry] of cache) {
      if (sum <= weight.most) return
      sum -= weightOf(entry)
      cache.delete(key)
    }
  }

  function entryOf(key: string): Entry<T> {
    const cached = cache.get(key)
    if (cached) return cached
    if (cache.size >= MAX_CACHED) dropOldest()
    const entry: Entry<T> = { value: undefined, at: -Infinity, failedAt: -Infinity, pending: null }
    cache.set(key, entry)
    return entry
  }

  /** Reads from upstream; concurrent calls share one request (single-flight). */
  async function refresh(entry: Entry<T>, fetch: () => Promise<T | null>): Promise<T | null> {
    entry.pending ??= fetch()
      .then((value) => {
        entry.value = value
        entry.at = Date.now()
        if (weight.most !== Infinity) lighten()
        return value
      })
      .catch((error: unknown) => {
        entry.failedAt = Date.now()
        throw error
      })
      .finally(() => {
        entry.pending = null
      })
    return entry.pending
  }

  const isFresh = ({ value, at }: Entry<T>): boolean =>
    value !== undefined && Date.now() - at < (value === null ? ABSENT_MS : FRESH_MS)

  return {
    /** Throws the error of the read when nothing is cached. */
    async read(key: string, fetch: () => Promise<T | null>): Promise<T | null> {
      const entry = entryOf(key)
      if (isFresh(entry)) return entry.value ?? null
      try {
        return await refresh(entry, fetch)
      } catch (error) {
        if (entry.value !== undefined) return entry.value
        throw error
      }
    },

    /** Value that is cached or arrives within `withinMs`; else undefined. A stale entry is returned while it is refreshed. */
    async quickly(key: string, fetch: () => Promise<T | null>, withinMs: number): Promise<T | null | undefined> {
      const entry = entryOf(key)
      if (isFresh(entry)) return entry.value
      const impatient = Date.now() - entry.failedAt < PATIENCE_MS
      if (impatient) return entry.value
      const coming = refresh(entry, fetch).catch(() => entry.value)
      if (entry.value) return entry.value
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => {
          entry.failedAt = Date.now()
          resolve(undefined)
        }, withinMs)
      })
      const value = await Promise.race([coming, late])
      clearTimeout(timer)
      return value
    },
  }
}
