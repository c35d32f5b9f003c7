import type { Logger } from './logger.ts'

/** Disposal scope: the started parts of what is being built. */
export interface Scope {
  /** Registers how a started part is stopped. `part`: its name in the log. */
  defer(part: string, stop: () => unknown): void
  /** The same scope, with a word before the name of each part. */
  named(prefix: string): Scope
}

/**
 * Builds an object from parts that need stopping: each builder registers a part as soon as it is started. `stop` stops all
 * parts in reverse order, one at a time; a part that fails to stop is logged and does not keep the others from stopping.
 * When a later step of `build` fails, the started parts are stopped in the same way, and the error of the step is thrown.
 */
export async function buildInScope<T extends object>(
  log: Pick<Logger, 'warn'>,
  build: (scope: Scope) => Promise<T>,
): Promise<T & { stop(): Promise<void> }> {
  const stack = new AsyncDisposableStack()
  const stop = (): Promise<void> => stack.disposeAsync()
  try {
    return { ...(await build(scopeOf(stack, log))), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const scopeOf = (stack: AsyncDisposableStack, log: Pick<Logger, 'warn'>, prefix = ''): Scope => ({
  defer(part, stop) {
    stack.defer(async () => {
      try {
        await stop()
      } catch (error) {
        log.warn({ err: error, part: prefix + part }, 'did not stop cleanly')
      }
    })
  },
  named: (word) => scopeOf(stack, log, `${prefix}${word} `),
})
