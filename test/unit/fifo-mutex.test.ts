import { expect, test } from 'vitest'
import { createFifoMutex } from '../../src/workers/fifo-mutex.ts'

test('a mutex has one holder at a time and serves waiters in the order of their tickets', async () => {
  const mutex = createFifoMutex()
  const passed: number[] = []
  let holders = 0
  const pass = async (ticket: number): Promise<void> => {
    await mutex.acquire(ticket)
    holders += 1
    expect(holders).toBe(1)
    await Promise.resolve()
    passed.push(ticket)
    holders -= 1
    mutex.release()
  }
  await Promise.all([5, 3, 4, 1, 2].map(pass))
  expect(passed).toEqual([5, 1, 2, 3, 4])
  await pass(9)
  expect(passed.at(-1)).toBe(9)
})

test('a holder yields to smaller tickets only, and then holds the mutex again', async () => {
  const mutex = createFifoMutex()
  const passed: string[] = []
  const pass = async (ticket: number): Promise<void> => {
    await mutex.acquire(ticket)
    passed.push(String(ticket))
    mutex.release()
  }
  await mutex.acquire(2)
  const behind = pass(3)
  await mutex.yieldToEarlier(2)
  passed.push('2 saw nobody')
  const earlier = pass(1)
  await mutex.yieldToEarlier(2)
  passed.push('2')
  mutex.release()
  await Promise.all([behind, earlier])
  expect(passed).toEqual(['2 saw nobody', '1', '2', '3'])
})
