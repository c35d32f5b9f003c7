import { expect, test } from 'vitest'
import { toServiceError } from '../../src/api/error-response.ts'

test.each([
  ["Stream isn't writeable and enableOfflineQueue options is false", 'Nothing was changed'],
  ['Command timed out', 'A change may or may not have been made'],
  ['Connection is closed.', 'A change may or may not have been made'],
])('a Redis that fails with %j: the answer says what is known', (message, words) => {
  const error = toServiceError(new Error(message))
  expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(words) })
  expect(error.message.includes('Nothing was changed')).toBe(words === 'Nothing was changed')
})
