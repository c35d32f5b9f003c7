import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createJobView } from '../../src/api/job-view.ts'
import {
  CONDITION_NAMES,
  CONDITIONS,
  type ConditionBoard,
  type Report,
} from '../../src/shared/conditions/rules/condition.ts'
import { createConditions, creationCheck } from '../../src/shared/conditions/conditions.ts'
import { pacedLook } from '../../src/shared/conditions/paced-look.ts'
import { watchConditions } from '../../src/shared/conditions/watch-conditions.ts'
import { watchUpstream, type Seen } from '../../src/shared/conditions/watch-upstream.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from './support/job-states.ts'

/** A board in memory; `others`: reports of another process. */
function scene(others: Report[] = []) {
  const lines: { level: number; msg: string; condition?: string; detail?: string }[] = []
  const written: (readonly Report[])[] = []
  const state = { away: false }
  const board: ConditionBoard = {
    async report(_process, reports) {
      if (state.away) throw new Error('away')
      written.push(reports)
    },
    async read() {
      if (state.away) throw new Error('away')
      return others.map((report) => ({ ...report, process: 'other' }))
    },
  }
  const log = createLogger({
    level: 'info',
    readable: false,
    destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
  })
  return { conditions: createConditions({ board, repeatMs: 20, log }), lines, written, state, log }
}

describe('a condition', () => {
  test('is logged once when it begins, at its level, and once when it ends', () => {
    const { conditions, lines } = scene()
    conditions.set('token_refused', null)
    for (const detail of ['status 401', 'status 401', 'status 403']) conditions.set('token_refused', detail)
    conditions.set('token_refused', null)
    conditions.set('token_refused', null)
    expect(lines).toMatchObject([
      { level: 50, condition: 'token_refused', detail: 'status 401', msg: CONDITIONS.token_refused.begins },
      { level: 30, condition: 'token_refused', msg: CONDITIONS.token_refused.ends },
    ])
  })

  test('of several processes is one, with the earliest begin, and each process counts once', async () => {
    const { conditions } = scene([
      { name: 'upstream_failing', since: 1000, detail: 'ECONNREFUSED' },
      { name: 'webhooks_silent', since: 2000, detail: 'none' },
    ])
    conditions.set('upstream_failing', 'ETIMEDOUT')
    expect(await conditions.all()).toEqual([
      { name: 'upstream_failing', since: 1000, detail: 'ECONNREFUSED', processes: 2 },
      { name: 'webhooks_silent', since: 2000, detail: 'none', processes: 1 },
    ])
  })

  test('of this process is known although Redis is away, and is reported when Redis is back', async () => {
    const { conditions, state, written } = scene()
    state.away = true
    conditions.set('storage_failing', 'EROFS')
    expect(await conditions.all()).toMatchObject([{ name: 'storage_failing', processes: 1 }])
    state.away = false
    await waitFor('the report', () => written.at(-1)?.[0]?.name === 'storage_failing')
    await conditions.stop()
    expect(written.at(-1)).toEqual([])
  })

  test('is repeated while it lasts; a process without any writes nothing', async () => {
    const { conditions, written } = scene()
    conditions.set('beat_failing', 'late')
    await waitFor('repetitions', () => written.length > 2)
    conditions.set('beat_failing', null)
    await waitFor('the end to be reported', () => written.at(-1)?.length === 0)
    const count = written.length
    // Another process, later: it has written nothing when as much time has passed again.
    const { conditions: idle, written: nothing } = scene()
    const { conditions: other, written: beats } = scene()
    other.set('beat_failing', 'late')
    await waitFor('repetitions', () => beats.length > 2)
    expect(written).toHaveLength(count)
    await Promise.all([conditions.stop(), idle.stop(), other.stop()])
    expect(nothing).toEqual([])
  })

  test('that follows from another one is neither logged nor shown', async () => {
    const { conditions, lines } = scene([{ name: 'pause_account', since: 1000, detail: 'until then' }])
    conditions.set('token_refused', 'status 401')
    conditions.set('pause_account', 'until then')
    conditions.set('recovery_listing', 'status 401')
    expect((await conditions.all()).map(({ name }) => name)).toEqual(['token_refused'])
    expect((await creationCheck(conditions.local)()).detail).toBe(
      'Replicate refuses the API token: nothing is created. Check REPLICATE_API_TOKEN (status 401)',
    )
    conditions.set('token_refused', null)
    conditions.set('pause_account', null)
    expect(conditions.local()).toEqual([])
    expect(lines.map(({ condition }) => condition)).toEqual(['token_refused', 'token_refused'])
    conditions.set('pause_account', 'the credit')
    expect(lines.at(-1)).toMatchObject({ condition: 'pause_account', msg: CONDITIONS.pause_account.begins })
  })

  test('that stops creation makes a worker unready, with words; others do not', async () => {
    const { conditions } = scene()
    const ready = creationCheck(conditions.local)
    conditions.set('webhooks_silent', 'none')
    expect(await ready()).toEqual({ ok: true, detail: 'predictions can be created' })
    conditions.set('token_refused', 'status 401')
    expect(await ready()).toEqual({
      ok: false,
      detail: 'Replicate refuses the API token: nothing is created. Check REPLICATE_API_TOKEN (status 401)',
    })
  })
})

test('a job that a condition holds up does not say that it waits for its turn', () => {
  const links = { path: (id: string) => id, open: () => null } as never
  const view = createJobView({
    links,
    lasting: links,
    keep: { usual: FIRST_KEEP, max: FIRST_KEEP },
    stopBound: 1,
  })
  const rate = { perMinute: 600, ceiling: 600 }
  // Pauses are read where they are kept.
  const stopping = CONDITION_NAMES.filter((name) => CONDITIONS[name].stopsCreation && !name.startsWith('pause_'))
  const shown = stopping.map((condition) => {
    const job = view(jobRecord('queued'), {
      for: 'turn',
      crowd: null,
      blocked: null,
      manual: null,
      pause: null,
      condition,
      wait: null,
      rate,
    })
    return [condition, job.waiting_for?.reason]
  })
  expect(shown).toEqual([
    ['no_worker', 'worker'],
    ['deployment_lost', 'redis'],
    ['token_refused', 'account'],
    ['upstream_failing', 'upstream'],
    ['recovery_former', 'recovery'],
    ['recovery_listing', 'recovery'],
  ])
})

test('the document lists every condition, with its level and what it stops', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/waiting.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\w+) \| (yes|no) \|/gm)].map(([, ...cells]) => cells)
  expect(rows).toEqual(
    CONDITION_NAMES.map((name) => [name, CONDITIONS[name].level, CONDITIONS[name].stopsCreation ? 'yes' : 'no']),
  )
})

describe('requests to upstream', () => {
  const answered = (status: number): Seen => ({ kind: 'answered', status, date: null })
  const broken: Seen = { kind: 'unanswered', reason: 'ECONNREFUSED' }

  test.each<[string, Seen[], string[]]>([
    ['the first one ever that fails', [broken], ['upstream_failing']],
    ['one that fails among good ones', [answered(200), broken, broken, answered(200)], []],
    ['three in a row that fail', [answered(200), broken, broken, broken], ['upstream_failing']],
    ['three in a row, of different kinds', [answered(200), broken, answered(502), broken], ['upstream_failing']],
    ['one that succeeds after them', [answered(200), broken, broken, broken, answered(404)], []],
    ['a refused token', [answered(401)], ['token_refused']],
    ['a refused token, then a model that may not be used', [answered(401), answered(403)], ['token_refused']],
    ['a refused token, then one that is accepted', [answered(401), answered(200)], []],
    ['an answer that refuses the token ends an outage', [broken, answered(401)], ['token_refused']],
    ['a rate limit or missing credit', [answered(429), answered(402)], []],
  ])('%s', (_what, seen, expected) => {
    const { conditions } = scene()
    const { see } = watchUpstream(conditions)
    for (const one of seen) see(one)
    expect(CONDITION_NAMES.filter((name) => conditions.has(name))).toEqual(expected)
  })
})

test('a check that costs a request is made rarely while healthy, and with growing waits while failing', async () => {
  let now = 0
  const at: number[] = []
  let detail: string | null = 'bad'
  const look = pacedLook(
    async () => {
      at.push(now)
      if (now === 3) throw new Error('no answer')
      return { webhook_secret: detail }
    },
    { calm: 100, first: 1, longest: 4 },
    () => now,
  )
  for (now = 0; now <= 20; now++) {
    if (now === 12) detail = null
    await look().catch(() => undefined)
  }
  expect(at).toEqual([0, 1, 3, 7, 11, 15])
  now = 115
  expect(await look()).toEqual({ webhook_secret: null })
})

test('a look that fails leaves conditions as they are, and does not hold up the others', async () => {
  const { conditions, log } = scene()
  conditions.set('storage_failing', 'EROFS')
  const stop = watchConditions({
    conditions,
    looks: [() => Promise.reject(new Error('Redis is away')), async () => ({ no_worker: 'none' })],
    everyMs: 10,
    log,
  })
  await waitFor('the look', () => conditions.has('no_worker'))
  expect(conditions.has('storage_failing')).toBe(true)
  await stop()
})
