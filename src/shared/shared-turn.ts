/**
 * One question for all who ask the same within a turn of the event loop. It is put when all of them have come, so the
 * answer is as new as if each had asked alone; `ask` is told how many they are. Each learns the answer, and its place
 * among them, from 0.
 */
export function sharedTurn<T>(
  ask: (name: string, count: number) => Promise<T>,
): (name: string) => Promise<{ answer: T; place: number }> {
  const open = new Map<string, { count: number; answer: Promise<T> }>()

  function begin(name: string): { count: number; answer: Promise<T> } {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const group = { count: 0, answer: promise }
    open.set(name, group)
    setImmediate(() => {
      open.delete(name)
      ask(name, group.count).then(resolve, reject)
    })
    return group
  }

  return async (name) => {
    const group = open.get(name) ?? begin(name)
    const place = group.count++
    return { answer: await group.answer, place }
  }
}
