import { expect, test, vi } from 'vitest'
import { remembered } from '../../src/shared/values/remembered.ts'

test('a result is computed once, and again after others have taken its place', () => {
  const compute = vi.fn<(text: string) => string>((text) => `${text}!`)
  const shout = remembered(2, compute)
  expect(['a', 'b', 'a', 'b'].map(shout)).toEqual(['a!', 'b!', 'a!', 'b!'])
  expect(compute).toHaveBeenCalledTimes(2)
  expect(['c', 'b', 'a'].map(shout)).toEqual(['c!', 'b!', 'a!'])
  expect(compute.mock.calls.map(([text]) => text)).toEqual(['a', 'b', 'c', 'a'])
})
