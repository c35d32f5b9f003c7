import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { attemptRecord, context, jobRecord, NOW } from './support/job-states.ts'
import { allowedAccounts, createTurns, type AccountTerms } from '../../src/shared/replicate/rules/account-choice.ts'

const terms = (name: string, changes: Partial<AccountTerms> = {}): AccountTerms => ({
  name,
  weight: 1,
  tenants: null,
  presets: null,
  dedicated: false,
  ...changes,
})

describe('a job may use', () => {
  const accounts = [
    terms('default'),
    terms('acme', { tenants: ['acme'] }),
    terms('video', { presets: ['video'] }),
    terms('own', { tenants: ['big'], dedicated: true }),
    terms('both', { tenants: ['acme'], presets: ['video'] }),
  ]

  test.each<[string, { tenant: string; preset: string | null }, string[]]>([
    ['accounts for all', { tenant: 'other', preset: null }, ['default']],
    ['those of its tenant', { tenant: 'acme', preset: 'picture' }, ['default', 'acme']],
    ['those of its preset', { tenant: 'other', preset: 'video' }, ['default', 'video']],
    ['those that name both', { tenant: 'acme', preset: 'video' }, ['default', 'acme', 'video', 'both']],
    ['only those that are dedicated to it', { tenant: 'big', preset: 'video' }, ['own']],
  ])('%s', (_what, job, expected) => {
    expect(allowedAccounts(accounts, job)).toEqual(expected)
  })
})

describe('the turns of accounts', () => {
  test('are as their weights, within one job of each', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }), (weights) => {
        const turn = createTurns()
        const states = weights.map((weight, at) => ({ name: String(at), weight, wait: 0 }))
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const counts = new Map<string, number>()
        for (let i = 1; i <= 3 * total; i++) {
          const name = turn(states) ?? ''
          counts.set(name, (counts.get(name) ?? 0) + 1)
        }
        for (const { name, weight } of states) expect(counts.get(name)).toBe(3 * weight)
      }),
    )
  })

  test('are of those that have room first; a paused one has none', () => {
    const turn = createTurns()
    const states = [
      { name: 'paused', weight: 9, wait: null },
      { name: 'full', weight: 9, wait: 50 },
      { name: 'free', weight: 1, wait: 0 },
    ]
    expect([turn(states), turn(states)]).toEqual(['free', 'free'])
    expect(turn(states.slice(0, 2))).toBe('full')
    expect(turn(states.slice(0, 1))).toBeNull()
  })
})

describe('a job that waits', () => {
  const intend = (attempts: ReturnType<typeof attemptRecord>[]) =>
    transition(
      { job: jobRecord('queued', { attempt: attempts.length, start_paused: 100 }), attempts, effects: [] },
      { type: 'intend', claim: 'c', account: 'second' },
      context(NOW, { paused: 400, clocks: { default: 400, second: 50 } }),
    )

  test('moves to another account while nothing of it can be running, with what its pauses have counted so far', () => {
    const closed = attemptRecord({ state: 'closed', outcome: 'rate_limited' })
    for (const attempts of [[], [closed]])
      expect(intend(attempts)).toMatchObject({
        kind: 'commit',
        // 300 ms of pauses count, by each of the clocks.
        job: { account: 'second', start_paused: -250 },
        attempt: { changes: { account: 'second' } },
      })
  })

  test('stays where an attempt may have made a prediction, also after that was given up', () => {
    for (const state of ['unknown', 'open'] as const)
      expect(intend([attemptRecord({ state, outcome: 'undecided' })])).toMatchObject({ kind: 'ignored' })
  })
})
