import { expect, test } from 'vitest'
import { clientNetwork, createThrottle } from '../../src/api/throttle.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'

function scene(failuresPerMinute = 3) {
  let now = 1_000_000
  const throttle = createThrottle({ failuresPerMinute, now: () => now })
  const check = (address: string): ServiceError | null => {
    try {
      throttle.check(address)
      return null
    } catch (error) {
      if (error instanceof ServiceError) return error
      throw error
    }
  }
  return { throttle, check, pass: (ms: number) => (now += ms) }
}

test('an address is paused for the rest of the minute once it reaches the failure limit', () => {
  const { throttle, check, pass } = scene()
  for (let i = 0; i < 3; i++) {
    expect(check('a')).toBeNull()
    throttle.fail('a')
  }
  pass(20_000)
  expect(check('a')).toMatchObject({
    code: 'too_many_attempts',
    retryAfter: 40,
    message: 'Too many failed attempts. Try again in 40 seconds.',
  })
  expect(check('b')).toBeNull()
  pass(40_000)
  expect(check('a')).toBeNull()
  throttle.fail('a')
  expect(check('a')).toBeNull()
})

test('failures of an earlier minute do not count', () => {
  const { throttle, check, pass } = scene()
  throttle.fail('a')
  throttle.fail('a')
  pass(60_000)
  throttle.fail('a')
  expect(check('a')).toBeNull()
})

test('remembers a bounded number of names, the latest ones', () => {
  const { throttle, check } = scene(1)
  for (let i = 0; i < 50_000; i++) throttle.fail(`10.0.${i}`)
  throttle.fail('last')
  expect(check('last')).not.toBeNull()
  expect(check('10.0.49999')).not.toBeNull()
  expect(check('10.0.40001')).not.toBeNull()
  expect(check('10.0.0')).toBeNull()
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['', ''],
])('%j is of the network %j', (address, network) => {
  expect(clientNetwork(address)).toBe(network)
})

test('attempts whose outcome is not known yet count as failures until they succeed', () => {
  const { throttle, check } = scene(2)
  const [first] = [throttle.reserve('a'), throttle.reserve('a')]
  expect(() => throttle.reserve('a')).toThrow('Too many failed attempts')
  first()
  expect(check('a')).toBeNull()
  throttle.reserve('a')
  expect(check('a')).not.toBeNull()
})
