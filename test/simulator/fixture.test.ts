import Replicate from 'replicate'
import { describe, expect } from 'vitest'
import { simulatorTest, test } from '../../src/simulator/fixtures/vitest.ts'
import { connectSimulator } from '../../src/simulator/start-simulator.ts'

/** The fixtures of vitest, used as their users do. */

const FLUX = 'black-forest-labs/flux-schnell'
const run = (auth: string, send: typeof fetch) =>
  new Replicate({ auth, fetch: send }).run(FLUX, { input: { prompt: 'a boat' } })

const tokens = new Set<string>()
describe.each([1, 2, 3])('tests at the same time: %i', { concurrent: true }, (n) => {
  test('have their own stubs and requests', async ({ replicate, simulator }) => {
    replicate.stub({ model: FLUX, output: `for ${n}` })
    expect(await run(replicate.token, replicate.fetch)).toBe(`for ${n}`)
    expect(new Set(replicate.requests().map(({ method }) => method))).toEqual(new Set(['POST']))
    expect(replicate.apiUrl).toBe(simulator.apiUrl)
    tokens.add(replicate.token)
  })
})

test('each had its own token', ({ replicate }) => {
  expect(tokens.has(replicate.token)).toBe(false)
  expect(tokens.size).toBe(3)
})

const manual = simulatorTest({ clock: 'manual' })
manual('the options are the simulator’s; another process does the same by its address', async ({ simulator }) => {
  const remote = connectSimulator(simulator.apiUrl)
  await remote.stub({ output: 'remote', startSeconds: 0, seconds: 1, times: Infinity }, 'r8_x')
  const { id } = await new Replicate({ auth: 'r8_x', fetch: remote.fetch }).predictions.create({
    model: FLUX,
    input: { prompt: 'x' },
  })
  await remote.advance(2000)
  expect((await remote.books()).predictions).toMatchObject([{ id, status: 'succeeded' }])
  expect(await remote.requests('r8_x')).toMatchObject([{ body: { input: { prompt: 'x' } } }])
  expect(await remote.faults({ get: { not_found: 1 } })).toEqual({ get: { not_found: 1 } })
  await expect(remote.faults({ nothing: 1 })).rejects.toThrow(/422 .*unknown group/)
  expect(await remote.faults(null)).toEqual(await remote.faults())
  await remote.reset('r8_x')
  expect(await remote.requests('r8_x')).toEqual([])
  expect((await remote.books()).predictions).toHaveLength(1)
  await remote.reset()
  expect((await remote.books()).predictions).toEqual([])
})
