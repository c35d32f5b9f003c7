/** Error of a promise that did not settle in time. */
export class DeadlineError extends Error {
  override name = 'DeadlineError'
}

/** Settles like `work`, or rejects with a DeadlineError after `ms`. */
export function withDeadline<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DeadlineError(`${what} did not settle within ${ms} ms`)), ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
