/**
 * Remembers the results of a pure function of a text. At `most` results the oldest one is forgotten, so that texts of clients
 * cannot fill the memory.
 */
export function remembered<T>(most: number, compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const result = known.get(text)
    if (result !== undefined) return result
    const made = compute(text)
    if (known.size >= most) {
      const [oldest = ''] = known.keys()
      known.delete(oldest)
    }
    known.set(text, made)
    return made
  }
}
