/** Results that are kept at most; then all are forgotten. */
const MOST = 1000

/** Keeps the results of a read for `ms`, by key, so that many readers share one. A failed read is not kept. */
export function briefly<K, T>(ms: number, read: (key: K) => Promise<T>): (key: K) => Promise<T> {
  const known = new Map<K, { at: number; result: Promise<T> }>()
  return (key) => {
    const now = performance.now()
    const found = known.get(key)
    if (found && now - found.at < ms) return found.result
    const result = read(key)
    if (known.size >= MOST) known.clear()
    known.set(key, { at: now, result })
    result.catch(() => {
      if (known.get(key)?.result === result) known.delete(key)
    })
    return result
  }
}
