import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import { GateClosedError, type CommitResult } from '../../src/shared/jobs/ports.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import type { AccountRates } from '../../src/shared/limits/rules/budget.ts'
import { createMissingAccounts } from '../../src/shared/conditions/redis-missing-accounts.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { openGate } from '../support/open-gate.ts'
import { context, prediction } from '../unit/support/job-states.ts'

const TWO: AccountRates = { default: { perMinute: 60_000, burst: 1000 }, second: { perMinute: 6000, burst: 7 } }

/** Accounts whose lists were both compared. */
async function scene(accounts = TWO): Promise<JobScene> {
  const made = await jobScene({}, {}, accounts)
  const { id } = await made.generation.look()
  for (const account of Object.keys(accounts)) await made.store.allowIntents(id, account)
  return made
}

/** An intent as a worker commits it; throws a GateClosedError. */
async function intend(
  { store, timings }: JobScene,
  id: string,
  account: string,
  compared: string[] = [],
): Promise<CommitResult> {
  const { now, paused, clocks, state } = await store.load(id)
  if (!state) throw new Error(`there is no job ${id}`)
  const event: JobEvent = { type: 'intend', claim: 'c', account, compared }
  const decision = transition(state, event, context(now, { paused, clocks, cause: 'worker', timings }))
  if (decision.kind === 'ignored') throw new Error(decision.reason)
  return store.commit(state, decision, 'worker', randomUUID())
}

describe('an intent in an account', () => {
  test('writes the account, takes a token of it, and puts the prediction into its indexes', async () => {
    const at = await scene()
    const id = await at.accepted()
    expect((await intend(at, id, 'second')).status).toBe('applied')
    expect(await at.redis.hget(at.keys.account('second'), 'next_arrival')).not.toBeNull()
    expect(await at.redis.hget(at.keys.account('default'), 'next_arrival')).toBeNull()
    const state = await at.happen(id, { type: 'observed', attempt: 1, prediction: prediction('starting', { id: 'p' }) })
    expect(state.job.account).toBe('second')
    expect(state.attempts[0]?.account).toBe('second')
    expect(await at.store.openPredictions('second')).toBe(1)
    expect(await at.store.openPredictions('default')).toBe(0)
    expect(await at.store.unowned('second', ['p'])).toEqual([])
    expect(await at.store.unowned('default', ['p'])).toEqual(['p'])
    // A release that knows one account leaves the record alone.
    expect(await at.redis.hget(at.keys.job(id), 'v')).toBe('3')
  })

  test('meets the pause of this account only, and only its time of pauses counts', async () => {
    const at = await scene()
    const [id, other] = [await at.accepted(), await at.accepted()]
    await at.store.pauseCreation('second', 60_000, 'rate_limited')
    expect((await intend(at, id, 'second')).status).toBe('paused')
    expect((await intend(at, other, 'default')).status).toBe('applied')
    // The clock of the second account stands 60 s ahead when its pause has ended.
    const { clocks, state } = await at.store.load(id)
    expect(clocks['default']).toBe(0)
    await at.redis.hset(at.keys.account('second'), 'paused_until', '1')
    expect((await intend(at, id, 'second')).status).toBe('applied')
    const after = await at.store.load(id)
    const waited = (paused: number, start: number): number => paused - start
    expect(waited(after.paused, after.state?.job.start_paused ?? 0)).toBe(
      waited(clocks['default'] ?? 0, state?.job.start_paused ?? 0),
    )
  })

  test('never comes too often for any account, while jobs are divided between them', async () => {
    const at = await scene({ default: { perMinute: 3000, burst: 3 }, second: { perMinute: 6000, burst: 7 } })
    const times = new Map<string, number[]>([
      ['default', []],
      ['second', []],
    ])
    const ids = await Promise.all(Array.from({ length: 60 }, () => at.accepted()))
    await Promise.all(
      ids.map(async (id, i) => {
        for (let asked = i; ; asked++) {
          const account = asked % 2 === 0 ? 'default' : 'second'
          const result = await intend(at, id, account)
          if (result.status === 'applied') {
            times.get(account)?.push(result.state.job.submitted_at ?? 0)
            return
          }
          if (result.status !== 'limited') throw new Error(result.status)
          await new Promise((resolve) => setTimeout(resolve, result.waitMs * Math.random()))
        }
      }),
    )
    expect([...times.values()].flat()).toHaveLength(60)
    for (const [account, perMinute, burst] of [
      ['default', 3000, 3],
      ['second', 6000, 7],
    ] as const) {
      const sorted = (times.get(account) ?? []).toSorted((a, b) => a - b)
      expect(sorted.length).toBeGreaterThan(0)
      for (const [from, first] of sorted.entries())
        for (const [more, last] of sorted.slice(from).entries())
          expect(more + 1).toBeLessThanOrEqual(burst + Math.ceil(((last - first + 1) * perMinute) / 60_000))
    }
  })
})

describe('the gate of an account', () => {
  /** A new generation, in which no list was compared. */
  async function restarted(at: JobScene): Promise<string> {
    await at.redis.hset(at.keys.generation, 'replid', 'another')
    const { id, open } = await at.generation.look()
    expect(open.size).toBe(0)
    return id
  }
  const closedBy = (work: Promise<unknown>): Promise<string | null> =>
    work.then(
      () => 'open',
      (error: unknown) => {
        if (error instanceof GateClosedError) return error.account
        throw error
      },
    )

  test('is opened by its own list: a job from before also waits for those of the others that it may use', async () => {
    const at = await scene()
    const [old, fixed] = [await at.accepted(), await at.accepted()]
    const generation = await restarted(at)
    expect(await closedBy(intend(at, old, 'default', ['second']))).toBe('default')
    expect(await at.store.allowIntents(generation, 'default')).toBe(true)
    expect([...(await at.generation.look()).open]).toEqual(['default'])
    expect(await closedBy(intend(at, old, 'default', ['second']))).toBe('second')
    expect(await closedBy(intend(at, old, 'second', ['default']))).toBe('second')
    expect(await closedBy(intend(at, fixed, 'default'))).toBe('open')
    expect(await at.store.allowIntents(generation, 'second')).toBe(true)
    expect(await closedBy(intend(at, old, 'default', ['second']))).toBe('open')
  })

  test('does not keep jobs back that were accepted since', async () => {
    const at = await jobScene({ clockSkew: 0 }, {}, TWO)
    const generation = await restarted(at)
    await at.store.allowIntents(generation, 'default')
    // In the millisecond of the restart a job counts as older.
    while ((await at.store.now()) <= Number(await at.redis.hget(at.keys.generation, 'began'))) await at.redis.ping()
    const id = await at.accepted()
    expect(await closedBy(intend(at, id, 'default', ['second']))).toBe('open')
  })

  test('that stays closed over restarts remembers from when on its list was not compared', async () => {
    const at = await scene()
    const first = await restarted(at)
    expect(await at.generation.unlistedSince(first, 'second', ['default', 'second'], 1000)).toBe(1000)
    await at.store.allowIntents(first, 'default')
    const next = await restarted(at)
    expect(await at.generation.unlistedSince(first, 'second', ['second'], 5000)).toBeNull()
    expect(await at.generation.unlistedSince(next, 'second', ['default', 'second'], 5000)).toBe(1000)
    expect(await at.generation.unlistedSince(next, 'default', ['default', 'second'], 5000)).toBe(5000)
    await at.store.allowIntents(next, 'second')
    await openGate(at.generation, at.store)
    const last = await restarted(at)
    expect(await at.generation.unlistedSince(last, 'second', ['default', 'second'], 9000)).toBe(9000)
  })
})

test('an account that is left out of the configuration is missed while something of it is open', async () => {
  const at = await scene()
  const missing = (...configured: string[]): Promise<string | null> =>
    createMissingAccounts({
      redis: at.redis,
      key: at.keys.accounts,
      configured,
      openIn: (account) => at.store.openPredictions(account),
    })()
  const id = await at.accepted()
  await intend(at, id, 'second')
  await at.happen(id, { type: 'observed', attempt: 1, prediction: prediction('starting', { id: 'p' }) })
  expect(await missing('default', 'second')).toBeNull()
  expect(await missing('default')).toBe('second: 1')
  await at.happen(id, { type: 'observed', attempt: 1, prediction: prediction('canceled', { id: 'p' }) })
  expect(await missing('default')).toBeNull()
})
