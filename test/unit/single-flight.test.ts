import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { singleFlight } from '../../src/shared/values/single-flight.ts'

test('calls with one key in one turn share a flight; a later call starts another', async () => {
  const calls: [string, number][] = []
  const read = singleFlight(async (key, count) => {
    const number = calls.push([key, count])
    await delay(5)
    return `${key} ${number}`
  })
  const first = Promise.all([read('a'), read('b'), read('a'), Promise.resolve().then(() => read('a'))])
  await new Promise((resolve) => setImmediate(resolve))
  const later = read('a')
  expect(await first).toEqual([
    { result: 'a 1', place: 0 },
    { result: 'b 2', place: 0 },
    { result: 'a 1', place: 1 },
    { result: 'a 1', place: 2 },
  ])
  expect(await later).toEqual({ result: 'a 3', place: 0 })
  expect(calls).toEqual([
    ['a', 3],
    ['b', 1],
    ['a', 1],
  ])
})

test('a failed flight rejects for every caller, and the next call starts another', async () => {
  let calls = 0
  const read = singleFlight(() => (++calls === 1 ? Promise.reject(new Error('away')) : Promise.resolve('back')))
  const both = await Promise.allSettled([read('a'), read('a')])
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect((await read('a')).result).toBe('back')
})
