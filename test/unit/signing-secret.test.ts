import { expect, test } from 'vitest'
import {
  makeSecret,
  MOST_PREVIOUS,
  withSecret,
  type SigningSecrets,
} from '../../src/shared/tenants/rules/signing-secret.ts'

const HOUR = 3_600_000

/** Secrets that were made one after the other, an hour apart, each with this grace. */
function rotated(times: number, graceMs: number): { secrets: SigningSecrets; keys: string[] } {
  const keys = [makeSecret()]
  let secrets: SigningSecrets = { current: { key: keys[0] ?? '', created_at: 0 }, previous: [] }
  for (let i = 1; i <= times; i++) {
    const key = makeSecret()
    keys.unshift(key)
    secrets = withSecret(secrets, { key, created_at: i * HOUR }, graceMs)
  }
  return { secrets, keys }
}

test('a replaced secret stays for the grace, and an earlier one no longer than that', () => {
  const { secrets, keys } = rotated(2, 5 * HOUR)
  expect(secrets).toEqual({
    current: { key: keys[0], created_at: 2 * HOUR },
    previous: [
      { key: keys[1], created_at: HOUR, expires_at: 7 * HOUR },
      { key: keys[2], created_at: 0, expires_at: 6 * HOUR },
    ],
  })
  const shorter = withSecret(secrets, { key: makeSecret(), created_at: 3 * HOUR }, HOUR)
  expect(shorter.previous.map(({ expires_at }) => expires_at)).toEqual([4 * HOUR, 4 * HOUR, 4 * HOUR])
})

test('a grace of 0 ends every earlier secret, and what has expired goes', () => {
  expect(rotated(3, 0).secrets.previous).toEqual([])
  expect(rotated(3, HOUR / 2).secrets.previous).toHaveLength(1)
})

test('of more than the most, the oldest goes', () => {
  const { secrets, keys } = rotated(6, 100 * HOUR)
  expect(secrets.previous.map(({ key }) => key)).toEqual(keys.slice(1, 1 + MOST_PREVIOUS))
})
