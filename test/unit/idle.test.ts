import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { watchIdle } from '../../src/api/read-body.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

test('what keeps coming is never idle, however slowly; what stops is, once', async () => {
  const onIdle = vi.fn<() => void>()
  const idle = watchIdle(1000, onIdle)
  for (let i = 0; i < 100; i++) {
    await pass(999)
    idle.moved()
  }
  expect(onIdle).not.toHaveBeenCalled()
  await pass(1001)
  expect(onIdle).toHaveBeenCalledOnce()
  await pass(5000)
  expect(onIdle).toHaveBeenCalledOnce()
})

test('a connection is not idle while reading is paused, or after its end', async () => {
  const onIdle = vi.fn<() => void>()
  let isPaused = true
  const idle = watchIdle(1000, onIdle, () => !isPaused)
  await pass(10_000)
  expect(onIdle).not.toHaveBeenCalled()
  isPaused = false
  await pass(2001)
  expect(onIdle).toHaveBeenCalledOnce()
  const other = watchIdle(1000, onIdle)
  other.end()
  await pass(5000)
  expect(onIdle).toHaveBeenCalledOnce()
  idle.end()
})
