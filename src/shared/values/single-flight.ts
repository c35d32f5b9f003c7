/**
 * Single-flight: coalesces calls with the same key that arrive in one turn of the event loop. The one call starts after
 * all callers have arrived, so its result is as fresh as if each caller had made its own; `call` receives the number of
 * callers. Each caller receives the shared result and its place among the callers, from 0.
 */
export function singleFlight<T>(
  call: (key: string, count: number) => Promise<T>,
): (key: string) => Promise<{ result: T; place: number }> {
  const open = new Map<string, { count: number; result: Promise<T> }>()

  function begin(key: string): { count: number; result: Promise<T> } {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const flight = { count: 0, result: promise }
    open.set(key, flight)
    setImmediate(() => {
      open.delete(key)
      call(key, flight.count).then(resolve, reject)
    })
    return flight
  }

  return async (key) => {
    const flight = open.get(key) ?? begin(key)
    const place = flight.count++
    return { result: await flight.result, place }
  }
}
