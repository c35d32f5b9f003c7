import { expect, test } from 'vitest'
import { createBodyRoom } from '../../src/api/body-room.ts'

test('bodies that arrive at once share the room, and who leaves makes it free', () => {
  const room = createBodyRoom(100)
  const [first, second] = [room.enter(), room.enter()]
  first.take(60)
  second.take(40)
  expect(() => second.take(1)).toThrow('Too many large bodies')
  // Twice is as good as once.
  first.leave()
  first.leave()
  second.take(60)
  expect(() => room.enter().take(1)).toThrow('Too many large bodies')
  second.leave()
  room.enter().take(100)
})
