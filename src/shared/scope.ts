/**
 * Builds something out of parts that have to be stopped: each part defers its stop as soon as it is there. When a later
 * step fails, whatever was begun is stopped in reverse; otherwise `stop` does it.
 */
export async function buildInScope<T extends object>(
  build: (scope: AsyncDisposableStack) => Promise<T>,
): Promise<T & { stop(): Promise<void> }> {
  const scope = new AsyncDisposableStack()
  try {
    const built = await build(scope)
    return { ...built, stop: () => scope.disposeAsync() }
  } catch (error) {
    // The first error says what is wrong; one of a stop would hide it.
    await scope.disposeAsync().catch(() => undefined)
    throw error
  }
}
