const MAX_KEPT = 1000

/**
 * Samples repeated messages: the first of a key passes, then at most one per `everyMs`. Returns the number of messages of
 * the key that were suppressed since the last one that passed; null: this one is suppressed.
 */
export function createSampler({ everyMs = 60_000, now = Date.now }: { everyMs?: number; now?: () => number } = {}) {
  const last = new Map<string, { at: number; heldBack: number }>()
  return (key: string): number | null => {
    const known = last.get(key)
    if (known && now() - known.at < everyMs) {
      known.heldBack++
      return null
    }
    const [oldest = ''] = last.size >= MAX_KEPT ? last.keys() : []
    last.delete(oldest)
    last.delete(key)
    last.set(key, { at: now(), heldBack: 0 })
    return known?.heldBack ?? 0
  }
}
