import { expect, test } from 'vitest'
import { createLine } from '../../src/workers/line.ts'

test('one stands at the head of a line at a time, and those behind it come by their numbers', async () => {
  const line = createLine()
  const passed: number[] = []
  let inside = 0
  const pass = async (number: number): Promise<void> => {
    await line.enter(number)
    inside += 1
    expect(inside).toBe(1)
    await Promise.resolve()
    passed.push(number)
    inside -= 1
    line.leave()
  }
  await Promise.all([5, 3, 4, 1, 2].map(pass))
  expect(passed).toEqual([5, 1, 2, 3, 4])
  await pass(9)
  expect(passed.at(-1)).toBe(9)
})

test('the head of a line lets those with smaller numbers go first, and comes back', async () => {
  const line = createLine()
  const passed: string[] = []
  const pass = async (number: number): Promise<void> => {
    await line.enter(number)
    passed.push(String(number))
    line.leave()
  }
  await line.enter(2)
  const behind = pass(3)
  await line.letEarlierPass(2)
  passed.push('2 saw nobody')
  const earlier = pass(1)
  await line.letEarlierPass(2)
  passed.push('2')
  line.leave()
  await Promise.all([behind, earlier])
  expect(passed).toEqual(['2 saw nobody', '1', '2', '3'])
})
