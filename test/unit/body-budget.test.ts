import { expect, test } from 'vitest'
import { createBodyBudget, SMALL_BODY } from '../../src/api/body-budget.ts'

const KIB = 1024
const capacity = expect.objectContaining({ code: 'capacity' })
const tooMany = expect.objectContaining({ code: 'too_many_bodies', limit: 'body_bytes' })

test('bodies that arrive at once share the budget, and a finished one releases its part', () => {
  const budget = createBodyBudget({ small: 100, large: 0, share: 1 })
  const [first, second] = [budget.enter('a'), budget.enter('b')]
  first.take(60)
  second.take(40)
  expect(() => second.take(1)).toThrow(capacity)
  // Twice is as good as once.
  first.leave()
  first.leave()
  second.take(60)
  expect(() => budget.enter('c').take(1)).toThrow(capacity)
  second.give(30)
  second.give(1000)
  second.leave()
  budget.enter('a').take(100)
})

test('one holder never has more than its share', () => {
  const budget = createBodyBudget({ small: 100, large: 1000 * KIB, share: 0.5 })
  const mine = [budget.enter('a'), budget.enter('a'), budget.enter('a')]
  mine[0]?.take(30)
  mine[1]?.take(20)
  expect(() => mine[2]?.take(1)).toThrow(tooMany)
  budget.enter('b').take(40)
  mine[1]?.leave()
  expect(() => mine[2]?.take(21)).toThrow('limit of 50 bytes')
})

test('long bodies do not use the memory of short ones, and a body that grows long releases it', () => {
  const budget = createBodyBudget({ small: SMALL_BODY, large: 400 * KIB, share: 1 })
  const long = [budget.enter('a'), budget.enter('a')]
  for (const body of long) {
    body.take(SMALL_BODY)
    body.take(64 * KIB)
  }
  const short = budget.enter('b')
  short.take(SMALL_BODY)
  expect(() => budget.enter('c').take(1)).toThrow(capacity)
  expect(() => long[0]?.take(64 * KIB)).toThrow(capacity)
  long[1]?.leave()
  long[0]?.take(64 * KIB)
  short.leave()
  budget.enter('c').take(SMALL_BODY)
})
