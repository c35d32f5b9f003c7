import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sharedTurn } from '../../src/shared/shared-turn.ts'

test('those who ask the same in one turn share a question; later ones ask anew', async () => {
  const asked: [string, number][] = []
  const ask = sharedTurn(async (name, count) => {
    const number = asked.push([name, count])
    await delay(5)
    return `${name} ${number}`
  })
  const first = Promise.all([ask('a'), ask('b'), ask('a'), Promise.resolve().then(() => ask('a'))])
  await new Promise((resolve) => setImmediate(resolve))
  const later = ask('a')
  expect(await first).toEqual([
    { answer: 'a 1', place: 0 },
    { answer: 'b 2', place: 0 },
    { answer: 'a 1', place: 1 },
    { answer: 'a 1', place: 2 },
  ])
  expect(await later).toEqual({ answer: 'a 3', place: 0 })
  expect(asked).toEqual([
    ['a', 3],
    ['b', 1],
    ['a', 1],
  ])
})

test('a question that fails fails for all who asked it, and is asked again', async () => {
  let asked = 0
  const ask = sharedTurn(() => (++asked === 1 ? Promise.reject(new Error('away')) : Promise.resolve('back')))
  const both = await Promise.allSettled([ask('a'), ask('a')])
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect((await ask('a')).answer).toBe('back')
})
