import { expect, test, vi } from 'vitest'
import { buildInScope, type Scope } from '../../src/shared/process/scope.ts'

/** What a build that starts three parts stops, in order, and what it logs. */
function parts() {
  const warn = vi.fn()
  const stopped: string[] = []
  const start = (scope: Scope): void => {
    scope.defer('first', () => void stopped.push('first'))
    scope.named('worker').defer('second', async () => {
      await Promise.resolve()
      stopped.push('second')
      throw new Error('busy')
    })
    scope.defer('third', async () => {
      await new Promise((resolve) => setImmediate(resolve))
      stopped.push('third')
    })
  }
  return { log: { warn }, stopped, start }
}
const busy = { err: expect.objectContaining({ message: 'busy' }), part: 'worker second' }

test('stops its parts one after the other in reverse order, also after one that fails, and once', async () => {
  const { log, stopped, start } = parts()
  const built = await buildInScope(log, async (scope) => {
    start(scope)
    return { answer: 42 }
  })
  expect(built.answer).toBe(42)
  expect(stopped).toEqual([])
  await built.stop()
  await built.stop()
  expect(stopped).toEqual(['third', 'second', 'first'])
  expect(log.warn.mock.calls).toEqual([[busy, 'did not stop cleanly']])
})

test('stops what was started when a later step fails, and throws the error of the step', async () => {
  const { log, stopped, start } = parts()
  const building = buildInScope(log, async (scope) => {
    start(scope)
    throw new Error('the port is in use')
  })
  await expect(building).rejects.toThrow('the port is in use')
  expect(stopped).toEqual(['third', 'second', 'first'])
  expect(log.warn.mock.calls).toEqual([[busy, 'did not stop cleanly']])
})
