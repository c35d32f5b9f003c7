/**
 * Builds an object from parts that need stopping: each part defers its stop as soon as it exists. When a later step fails,
 * the started parts are stopped in reverse order; otherwise `stop` does that.
 */
export async function buildInScope<T extends object>(
  build: (scope: AsyncDisposableStack) => Promise<T>,
): Promise<T & { stop(): Promise<void> }> {
  const scope = new AsyncDisposableStack()
  try {
    const built = await build(scope)
    return { ...built, stop: () => scope.disposeAsync() }
  } catch (error) {
    // The first error is the cause; an error of a stop would hide it.
    await scope.disposeAsync().catch(() => undefined)
    throw error
  }
}
