import { inputHash } from '../../src/shared/jobs/rules/run-facts.ts'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRetryPlaces } from '../../src/api/retry-place.ts'
import { BUCKET_PATTERN, createArtifactNames } from '../../src/shared/artifacts/rules/artifact-names.ts'
import { isReplicateDelivery } from '../../src/shared/artifacts/rules/delivery.ts'
import { dueJob } from '../../src/shared/jobs/record/due-member.ts'
import { newCommitId } from '../../src/shared/jobs/record/commit-id.ts'
import type { Commit, JobEvent, TransitionContext } from '../../src/shared/jobs/rules/decision.ts'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import {
  isFinal,
  PHASES,
  STATUSES,
  type Cause,
  type JobRecord,
  type JobState,
} from '../../src/shared/jobs/rules/job.ts'
import { type CommitResult, GateClosedError, type JobStore } from '../../src/shared/jobs/ports.ts'
import { createCommitRunner } from '../../src/shared/jobs/commit/redis-commits.ts'
import { createRedisJobStore } from '../../src/shared/jobs/commit/redis-job-store.ts'
import type { Purge, PurgePart } from '../../src/shared/jobs/rules/purge.ts'
import { DEFAULT_TIMINGS, type Timings } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { CommitScriptInput, type CommitOperation } from '../../src/shared/jobs/commit/commit-script.ts'
import { createGeneration, type Generation } from '../../src/shared/redis/generation.ts'
import { freshPrefix, startOwnRedis, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord, prediction } from '../unit/support/job-states.ts'
import { openGate } from '../support/open-gate.ts'

interface Scene {
  redis: Redis
  keys: JobKeys
  store: JobStore
  timings: Timings
  generation: Generation
}

const parts = (...what: PurgePart[]): Purge => ({ remove: 'parts', parts: what, next: Date.now() })
const RECORD: Purge = { remove: 'record', early: false, kept: null }
const PURGES = [parts('index'), parts('payload', 'entry'), RECORD]

const ACCOUNT = 'default'
const open: Redis[] = []
async function scene(
  options: { url?: string; timings?: Partial<Timings>; perMinute?: number; burst?: number; gate?: 'closed' } = {},
): Promise<Scene> {
  const redis = new Redis(options.url ?? testRedisUrl())
  open.push(redis)
  const keys = createJobKeys(freshPrefix())
  const timings = { ...DEFAULT_TIMINGS, ...options.timings }
  const generation = createGeneration(redis, keys.generation, { gap: null })
  const creates = { perMinute: options.perMinute ?? 60_000, burst: options.burst ?? 1000 }
  const store = createRedisJobStore({
    redis,
    keys,
    timings,
    accounts: { [ACCOUNT]: creates },
    commits: createCommitRunner(redis, timings, generation),
    keepEvents: 10_000,
  })
  if (options.gate !== 'closed') await openGate(generation, store)
  return { redis, keys, timings, generation, store }
}
afterAll(() => {
  for (const redis of open) redis.disconnect()
})

const newJob = (changes: Partial<JobRecord> = {}): JobRecord => ({
  ...jobRecord('queued'),
  id: `job_${ulid()}`,
  rev: 0,
  created_at: 0,
  ...changes,
})

async function accepted({ store }: Scene, changes: Partial<JobRecord> = {}): Promise<JobState> {
  const result = await store.create(newJob(changes), null, randomUUID())
  if (result.status !== 'applied') throw new Error(`not accepted: ${result.status}`)
  return result.state
}

const contextOf = (
  { timings }: Scene,
  { now = Date.now(), cause = 'webhook', paused = 0 }: { now?: number; cause?: Cause; paused?: number } = {},
): TransitionContext => ({ now, paused, cause, timings, webhooks: true, expected: null, delivers: isReplicateDelivery })

const decide = (at: Scene, state: JobState, event: JobEvent, options: Parameters<typeof contextOf>[1] = {}): Commit => {
  const decision = transition(state, event, contextOf(at, options))
  if (decision.kind === 'ignored') throw new Error(`${event.type} was ignored: ${decision.reason}`)
  return decision
}

/** Loads, decides, commits. */
async function happen(
  at: Scene,
  id: string,
  event: JobEvent,
  cause: Cause = 'webhook',
  commitId: string = randomUUID(),
): Promise<CommitResult> {
  const { now, paused, state } = await at.store.load(id)
  if (!state) throw new Error('there is no such job')
  return at.store.commit(state, decide(at, state, event, { now, paused, cause }), cause, commitId)
}

/** Every key of the deployment with what it holds. */
async function dump({ redis, keys }: Pick<Scene, 'redis' | 'keys'>): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  let cursor = '0'
  do {
    const [next, names] = await redis.scan(cursor, 'MATCH', `${keys.tag}*`, 'COUNT', 1000)
    cursor = next
    for (const name of names) found[name] = (await redis.dumpBuffer(name))?.toString('base64') ?? ''
  } while (cursor !== '0')
  return found
}

let shared: Scene
beforeAll(async () => {
  shared = await scene()
})

describe('a new job', () => {
  test('is read as it was written, at the time of Redis', async () => {
    const job = newJob({ input: { list: [], big: 1e15, text: 'ü\n' }, metadata: { empty: {} } })
    const from = await shared.store.now()
    const result = await shared.store.create(job, null, 'c1')
    if (result.status !== 'applied') throw new Error(result.status)
    const { state, now } = await shared.store.load(job.id)
    expect(state).toEqual(result.state)
    const at = state?.job.created_at
    expect(state?.job).toEqual({ ...job, rev: 1, created_at: at, updated_at: at, start_since: at, start_paused: 0 })
    expect(at).toBeGreaterThanOrEqual(from)
    expect(at).toBeLessThanOrEqual(now)
    expect(await shared.store.read(job.id)).toEqual(state?.job)
  })

  test('that was written already answers repeated to the same commit, stale to another', async () => {
    const job = newJob()
    expect((await shared.store.create(job, null, 'once')).status).toBe('applied')
    const before = await dump(shared)
    expect((await shared.store.create(job, null, 'once')).status).toBe('repeated')
    expect((await shared.store.create(job, null, 'other')).status).toBe('stale')
    expect(await dump(shared)).toEqual(before)
  })

  test('takes its idempotency entry, or gets the id of the job that holds it', async () => {
    const [first, second] = [newJob(), newJob()]
    const entry = { entry: randomUUID(), body: 'digest' }
    expect((await shared.store.create(first, entry, 'a')).status).toBe('applied')
    const before = await dump(shared)
    const taken = await shared.store.create(second, entry, 'b')
    expect(taken).toEqual({ status: 'taken', holder: JSON.stringify({ job: first.id, body: 'digest' }) })
    expect(await dump(shared)).toEqual(before)
    expect(await shared.store.idempotent(entry.entry)).toEqual({ job: first.id, body: 'digest' })
  })

  test('that comes after its time is not written', async () => {
    const late = await scene({ timings: { acceptWithin: -1000 }, gate: 'closed' })
    expect((await late.store.create(newJob(), null, 'a')).status).toBe('too_late')
    expect(await dump(late)).toEqual({})
  })
})

describe('a commit', () => {
  test('leaves in Redis exactly what it answers', async () => {
    const { job } = await accepted(shared)
    const events: JobEvent[] = [
      { type: 'intend', claim: 'c1' },
      { type: 'observed', attempt: 1, prediction: prediction('starting', { id: job.id }) },
      { type: 'observed', attempt: 1, prediction: prediction('processing', { id: job.id }), webhook_id: 'msg_1' },
      { type: 'observed', attempt: 1, prediction: prediction('failed', { id: `${job.id}-twin` }) },
      { type: 'cancel' },
      {
        type: 'observed',
        attempt: 1,
        prediction: prediction('succeeded', { id: job.id, output: ['https://replicate.delivery/y'] }),
      },
      { type: 'stored', attempt: 1, output: ['art_1'], artifacts: [] },
    ]
    for (const event of events) {
      const result = await happen(shared, job.id, event)
      if (result.status !== 'applied') throw new Error(`${event.type}: ${result.status}`)
      expect((await shared.store.load(job.id)).state).toEqual(result.state)
    }
  })

  test('that comes twice answers repeated, for the last eight', async () => {
    const { job } = await accepted(shared)
    const state = (await shared.store.load(job.id)).state
    if (!state) throw new Error('no state')
    const commit = decide(shared, state, { type: 'intend', claim: 'first' })
    expect((await shared.store.commit(state, commit, 'worker', 'first')).status).toBe('applied')
    expect((await shared.store.commit(state, commit, 'worker', 'first')).status).toBe('repeated')
    for (let i = 0; i < 7; i++) {
      const twin = prediction('failed', { id: `${job.id}-${i}`, created_at: 0 })
      if (i === 0)
        await happen(shared, job.id, {
          type: 'observed',
          attempt: 1,
          prediction: { ...twin, id: job.id, status: 'starting' },
        })
      else await happen(shared, job.id, { type: 'observed', attempt: 1, prediction: twin })
      expect((await shared.store.commit(state, commit, 'worker', 'first')).status).toBe('repeated')
    }
    await happen(shared, job.id, { type: 'cancel' })
    expect((await shared.store.commit(state, commit, 'worker', 'first')).status).toBe('stale')
    // Whichever place of the eight a commit takes.
    const ids = Array.from({ length: 8 }, (_, i) => `place-${i}`)
    for (const [i, id] of ids.entries()) {
      const twin = prediction('failed', { id: `${job.id}-place-${i}`, created_at: 0 })
      await happen(shared, job.id, { type: 'observed', attempt: 1, prediction: twin }, 'webhook', id)
    }
    for (const id of ids)
      expect([id, (await shared.store.commit(state, commit, 'worker', id)).status]).toEqual([id, 'repeated'])
  })

  test('on an older revision is stale and writes nothing', async () => {
    const { job } = await accepted(shared)
    const { state } = await shared.store.load(job.id)
    if (!state) throw new Error('no state')
    await happen(shared, job.id, { type: 'cancel' })
    const before = await dump(shared)
    expect(
      (await shared.store.commit(state, decide(shared, state, { type: 'intend', claim: 'x' }), 'worker', 'x')).status,
    ).toBe('stale')
    expect(await dump(shared)).toEqual(before)
  })

  test('on a revision that another memory of Redis wrote is stale and writes nothing', async () => {
    const { job } = await accepted(shared)
    const record = await shared.redis.dumpBuffer(shared.keys.job(job.id))
    await happen(shared, job.id, { type: 'intend', claim: 'mine' }, 'worker', 'mine')
    const intended = await shared.store.load(job.id)
    if (!intended.state || !record) throw new Error('no state')
    expect(intended.commit).toBe('mine')
    // Redis loses the intent, and another commit makes the same revision.
    await shared.redis.restore(shared.keys.job(job.id), 0, record, 'REPLACE')
    await happen(shared, job.id, { type: 'cancel' }, 'api', 'other')
    const after = await dump(shared)
    const outcome = decide(shared, intended.state, { type: 'not_sent', attempt: 1, claim: 'mine' })
    expect(await shared.store.commit(intended.state, outcome, 'worker', 'late', intended.commit)).toEqual({
      status: 'stale',
    })
    expect(await dump(shared)).toEqual(after)
  })

  test('among many at the same moment is the only one', async () => {
    const { job } = await accepted(shared)
    const { state } = await shared.store.load(job.id)
    if (!state) throw new Error('no state')
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        shared.store.commit(state, decide(shared, state, { type: 'intend', claim: `c${i}` }), 'worker', `c${i}`),
      ),
    )
    expect(results.filter(({ status }) => status === 'applied')).toHaveLength(1)
    expect(results.filter(({ status }) => status === 'stale')).toHaveLength(49)
  })

  test.each([
    'due',
    'phases',
    'events',
    'outbox',
    'tenantStatus',
    'job',
    'account',
    'open',
    'storing',
    'prediction',
  ] as const)('checks the type of %s before it writes anything', async (which) => {
    const at = await scene()
    const { job } = await accepted(at, { tenant: 't' })
    await happen(at, job.id, { type: 'intend', claim: 'c1' })
    const { state } = await at.store.load(job.id)
    if (!state) throw new Error('no state')
    const key = {
      due: at.keys.due,
      phases: at.keys.phases,
      events: at.keys.events,
      outbox: at.keys.outbox(job.id),
      tenantStatus: at.keys.tenantStatus('t', 'processing'),
      job: at.keys.job(job.id),
      account: at.keys.account(ACCOUNT),
      open: at.keys.open(ACCOUNT),
      storing: at.keys.storing,
      prediction: at.keys.prediction(ACCOUNT, 'p'),
    }[which]
    await at.redis.del(key)
    await at.redis.lpush(key, 'a list')
    const before = await dump(at)
    const seen =
      which === 'open'
        ? prediction('starting', { id: 'p' })
        : prediction('succeeded', { id: 'p', output: ['https://replicate.delivery/y'] })
    const commit = decide(at, state, { type: 'observed', attempt: 1, prediction: seen })
    await expect(at.store.commit(state, commit, 'webhook', 'x')).rejects.toThrow(/WRONGTYPE/)
    expect(await dump(at)).toEqual(before)
  })

  test.each(['account', 'pauseClocks', 'tenantStatus'] as const)(
    'checks the type of %s before it writes anything of a new job',
    async (which) => {
      const at = await scene()
      const key = {
        account: at.keys.account(ACCOUNT),
        pauseClocks: at.keys.pauseClocks,
        tenantStatus: at.keys.tenantStatus('t', 'queued'),
      }[which]
      await at.redis.del(key)
      await at.redis.lpush(key, 'a list')
      const before = await dump(at)
      await expect(accepted(at, { tenant: 't' })).rejects.toThrow(/WRONGTYPE/)
      expect(await dump(at)).toEqual(before)
    },
  )

  test('does not take a prediction that another attempt owns', async () => {
    const at = await scene()
    const [one, two] = [await accepted(at), await accepted(at)]
    const same = prediction('starting', { id: 'same' })
    for (const { job } of [one, two]) await happen(at, job.id, { type: 'intend', claim: job.id })
    await happen(at, one.job.id, { type: 'observed', attempt: 1, prediction: same })
    const before = await dump(at)
    expect(await happen(at, two.job.id, { type: 'observed', attempt: 1, prediction: same })).toEqual({
      status: 'taken',
      holder: `${one.job.id}:1`,
    })
    expect(await dump(at)).toEqual(before)
  })

  test('works when Redis forgot its scripts; only intents wait until they are allowed again', async () => {
    const own = await startOwnRedis()
    const at = await scene({ url: own.url, gate: 'closed' })
    const { job } = await accepted(at)
    const intend = (): Promise<CommitResult> => happen(at, job.id, { type: 'intend', claim: 'c' })
    await expect(intend()).rejects.toThrow(GateClosedError)
    await openGate(at.generation, at.store)
    expect((await intend()).status).toBe('applied')
    await at.redis.script('FLUSH')
    expect((await happen(at, job.id, { type: 'cancel' })).status).toBe('applied')
    expect((await at.store.claimDue(1)).now).toBeGreaterThan(0)
    const next = await accepted(at)
    await expect(happen(at, next.job.id, { type: 'intend', claim: 'c' })).rejects.toThrow(GateClosedError)
    at.redis.disconnect()
    await own.stop()
  })
})

test('an intent waits while the gate of its generation is closed', async () => {
  const at = await scene({ gate: 'closed' })
  const { job } = await accepted(at)
  const intends = (): Promise<CommitResult> => happen(at, job.id, { type: 'intend', claim: 'c' })
  await at.generation.look()
  await expect(intends()).rejects.toThrow(GateClosedError)
  await openGate(at.generation, at.store)
  expect((await intends()).status).toBe('applied')
})

test('as many jobs of a tenant may wait as its limit says', async () => {
  const at = await scene()
  const create = async (): Promise<string> =>
    (await at.store.create(newJob(), null, randomUUID(), { queuedJobs: 2 })).status
  expect([await create(), await create(), await create()]).toEqual(['applied', 'applied', 'full'])
})

test('a job keeps its slot while it is sent again, and no other takes it', async () => {
  const at = await scene()
  const [one, other] = await Promise.all([1, 2].map(() => accepted(at, { preset: 'picture' })))
  if (!one || !other) throw new Error('no jobs')
  const intends = (id: string): Promise<CommitResult> => happen(at, id, { type: 'intend', claim: id })
  await at.redis.hset(at.keys.limits, 'per_tenant preset:picture', '1')
  expect((await intends(one.job.id)).status).toBe('applied')
  expect(await intends(other.job.id)).toMatchObject({ status: 'blocked', scope: `preset:picture@${one.job.tenant}` })
  const failed = prediction('failed', { id: one.job.id, error: '(code: PA)' })
  await happen(at, one.job.id, { type: 'observed', attempt: 1, prediction: failed })
  expect((await intends(other.job.id)).status).toBe('blocked')
  expect((await intends(one.job.id)).status).toBe('applied')
  await happen(at, one.job.id, { type: 'not_sent', attempt: 2, claim: one.job.id })
  await happen(at, one.job.id, { type: 'cancel' })
  expect((await intends(other.job.id)).status).toBe('applied')
})

describe('the create budget', () => {
  test('never gives more than limit and burst in any window, and wastes little', async () => {
    const [perMinute, burst] = [6000, 7]
    const at = await scene({ perMinute, burst })
    const states = await Promise.all(Array.from({ length: 150 }, () => accepted(at)))
    const times: number[] = []
    await Promise.all(
      states.map(async (state) => {
        for (let asked = 0; asked < 1000; asked++) {
          const result = await at.store.commit(
            state,
            decide(at, state, { type: 'intend', claim: 'c' }),
            'worker',
            randomUUID(),
          )
          if (result.status === 'applied') {
            times.push(result.state.job.submitted_at ?? 0)
            return
          }
          if (result.status !== 'limited') throw new Error(result.status)
          expect(result.waitMs).toBeGreaterThan(0)
          // Nothing is wasted: the next token comes within one interval, even on a slow machine.
          expect(result.waitMs).toBeLessThanOrEqual(60_000 / perMinute)
          await new Promise((resolve) => setTimeout(resolve, result.waitMs * Math.random() * 0.2))
        }
      }),
    )
    times.sort((a, b) => a - b)
    expect(times).toHaveLength(150)
    for (let from = 0; from < times.length; from++)
      for (let to = from; to < times.length; to++) {
        const window = (times[to] ?? 0) - (times[from] ?? 0) + 1
        expect(to - from + 1).toBeLessThanOrEqual(burst + Math.ceil((window * perMinute) / 60_000))
      }
  })

  test('a refusal takes no token and writes nothing', async () => {
    const at = await scene({ perMinute: 1, burst: 1 })
    const [one, two] = [await accepted(at), await accepted(at)]
    expect((await happen(at, one.job.id, { type: 'intend', claim: 'a' })).status).toBe('applied')
    const before = await dump(at)
    for (let i = 0; i < 3; i++) {
      const result = await happen(at, two.job.id, { type: 'intend', claim: 'b' })
      expect(result).toMatchObject({ status: 'limited', waitMs: expect.any(Number) })
      if (result.status === 'limited') expect(result.waitMs).toBeLessThanOrEqual(60_000)
    }
    expect(await dump(at)).toEqual(before)
  })

  test('a pause holds creation to its last moment', async () => {
    const at = await scene()
    const { job } = await accepted(at)
    await at.store.pauseCreation(ACCOUNT, 400, 'rate_limited')
    const until = Number(await at.redis.hget(at.keys.account(ACCOUNT), 'paused_until'))
    const sent = await waitFor('the intent', async () => {
      const result = await happen(at, job.id, { type: 'intend', claim: job.id })
      return result.status === 'applied' && result.state.job.submitted_at
    })
    expect(sent).toBeGreaterThanOrEqual(until)
  })

  test('a pause holds creation for all, and the longest is kept', async () => {
    const at = await scene()
    const jobs = await Promise.all(Array.from({ length: 3 }, () => accepted(at)))
    const refuse = async (job: JobState | undefined, wait: number, reason: 'rate_limited' | 'account') => {
      const id = job?.job.id ?? ''
      const { state } = await at.store.load(id)
      return happen(at, id, {
        type: 'refused',
        attempt: 1,
        claim: state?.attempts[0]?.claim ?? '',
        outcome: 'x',
        error: null,
        pause: { for: wait, reason },
        health: null,
      })
    }
    for (const { job } of jobs.slice(0, 2)) await happen(at, job.id, { type: 'intend', claim: job.id })
    await refuse(jobs[0], 60_000, 'rate_limited')
    const first = await at.store.pause('default')
    expect(first).toMatchObject({ reason: 'rate_limited' })
    await refuse(jobs[1], 1000, 'account')
    expect(await at.store.pause('default')).toEqual(first)
    const result = await happen(at, jobs[2]?.job.id ?? '', { type: 'intend', claim: 'c' })
    expect(result.status).toBe('paused')
    if (result.status === 'paused') expect(result.waitMs).toBeGreaterThan(1000)
    // Other calls continue.
    expect((await happen(at, jobs[2]?.job.id ?? '', { type: 'cancel' })).status).toBe('applied')
  })
})

/** Expected contents of the indexes, counted from the records. */
async function recount({ redis, keys, store }: Scene, ids: string[]) {
  const phases: Record<string, number> = {}
  const due: string[] = []
  const openAttempts: string[] = []
  const unknown: string[] = []
  const storing: string[] = []
  const byStatus: Record<string, string[]> = {}
  const retention: string[] = []
  for (const id of ids) {
    const { state } = await store.load(id)
    if (!state) continue
    phases[state.job.phase] = (phases[state.job.phase] ?? 0) + 1
    const list = (byStatus[state.job.status] ??= [])
    list.push(id)
    if (isFinal(state.job.phase)) retention.push(id)
    else due.push(`job:${id}`)
    for (const { n, state: is, intended_at } of state.attempts) {
      if (is !== 'closed') due.push(`attempt:${id}:${n}`)
      if (is === 'open') openAttempts.push(`${id}:${n}`)
      if (is === 'unknown') unknown.push(`${id}:${n} ${intended_at}`)
    }
    for (const effect of state.effects) if (effect.kind === 'store') storing.push(`${id}:${effect.attempt}`)
    for (const effect of Object.keys(await redis.hgetall(keys.outbox(id)))) due.push(`effect:${id}:${effect}`)
  }
  for (const list of Object.values(byStatus)) list.sort()
  return {
    phases,
    due: due.sort(),
    open: openAttempts.sort(),
    unknown: unknown.sort(),
    storing: storing.sort(),
    byStatus,
    retention: retention.sort(),
  }
}

async function indexes({ redis, keys, store }: Scene) {
  const counts = await store.counts()
  const byStatus: Record<string, string[]> = {}
  for (const status of STATUSES) {
    const ids = await redis.zrange(keys.tenantStatus('default', status), '0', '-1')
    if (ids.length > 0) byStatus[status] = ids
  }
  return {
    phases: Object.fromEntries(Object.entries(counts.phases).filter(([, n]) => n !== 0)),
    due: (await redis.zrange(keys.due, '0', '-1')).sort(),
    open: (await redis.smembers(keys.open(ACCOUNT))).sort(),
    unknown: (await store.unknownAttempts(ACCOUNT))
      .map(({ job, attempt, intended_at }) => `${job}:${attempt} ${intended_at}`)
      .sort(),
    storing: (await redis.zrange(keys.storing, '0', '-1')).sort(),
    byStatus,
    retention: (await redis.zrange(keys.retention, '0', '-1')).sort(),
  }
}

test('indexes, counters and the due index equal a recount after any sequence of commits', async () => {
  // Trouble would only stop the creates of this test.
  const at = await scene({ timings: { troublePause: { first: 0, longest: 0 } } })
  let seed = 42
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return (seed >>> 8) % below
  }
  const ids: string[] = []
  for (let i = 0; i < 12; i++) ids.push((await accepted(at)).job.id)
  const events = (id: string, state: JobState): JobEvent[] => {
    const attempt = Math.max(state.job.attempt, 1)
    const claim = state.attempts.find(({ n }) => n === attempt)?.claim ?? ''
    const own = { id: `${id}-${attempt}`, created_at: Date.now() }
    return [
      { type: 'intend', claim: randomUUID() },
      { type: 'not_sent', attempt, claim },
      { type: 'lost', attempt, claim, reason: 'ECONNRESET' },
      { type: 'observed', attempt, prediction: prediction('starting', own) },
      { type: 'observed', attempt, prediction: prediction('processing', own) },
      {
        type: 'observed',
        attempt,
        prediction: prediction('succeeded', { ...own, output: ['https://replicate.delivery/y'] }),
      },
      { type: 'observed', attempt, prediction: prediction('failed', own) },
      { type: 'observed', attempt, prediction: prediction('failed', { ...own, error: '(code: PA)' }) },
      { type: 'not_listed', attempt, began: Date.now() + 3_600_000 * random(3) },
      { type: 'missing', attempt },
      { type: 'observed', attempt, prediction: prediction('starting', { ...own, id: `${id}-twin` }) },
      { type: 'cancel' },
      { type: 'cancel_done', attempt, prediction_id: random(2) === 0 ? own.id : `${id}-twin` },
      { type: 'stored', attempt, output: [], artifacts: [] },
      { type: 'tick' },
    ]
  }
  const seen = new Set<string>()
  for (let step = 0; step < 500; step++) {
    const id = ids[random(ids.length)] ?? ''
    const { now, state } = await at.store.load(id)
    if (!state) throw new Error('no state')
    const choices = events(id, state)
    const event = choices[random(choices.length)]
    if (!event) continue
    const later = random(10) === 0 ? now + 60 * 60_000 : now
    const decision = transition(state, event, contextOf(at, { now: later, cause: 'poll' }))
    if (decision.kind === 'commit') await at.store.commit(state, decision, 'poll', randomUUID())
    seen.add((await at.store.read(id))?.phase ?? '')
    if (step % 50 === 49) expect(await indexes(at)).toEqual(await recount(at, ids))
    if (isFinal(state.job.phase) && random(4) === 0) {
      ids.splice(ids.indexOf(id), 1)
      for (const purge of PURGES) {
        const { state: final } = await at.store.load(id)
        if (final?.attempts.every((one) => one.state === 'closed') && final.effects.length === 0)
          await at.store.purge(final, purge, randomUUID())
        else ids.push(id)
        if (ids.includes(id)) break
      }
      ids.push((await accepted(at)).job.id)
    }
  }
  expect([...seen].sort()).toEqual([...PHASES].sort())
  const { jobs: listed } = await at.store.list('default', { limit: 1000 })
  expect(listed.map(({ id }) => id)).toEqual([...ids].sort().toReversed())
})

describe('the due index', () => {
  test('gives what is due, leases it, and gives it again when the lease ends', async () => {
    const lease = 600_000
    const at = await scene({ timings: { dueLease: lease, ringAgain: { min: 0, max: 0 } } })
    const { job } = await accepted(at)
    const member = dueJob(job.id)
    const from = await at.store.now()
    expect((await at.store.claimDue(10)).members).toEqual([member])
    expect((await at.store.claimDue(10)).members).toEqual([])
    const until = Number(await at.redis.zscore(at.keys.due, member.member))
    expect(until).toBeGreaterThanOrEqual(from + lease)
    expect(until).toBeLessThanOrEqual((await at.store.now()) + lease)
    // As if the lease had passed.
    await at.redis.zincrby(at.keys.due, -lease, member.member)
    expect((await at.store.claimDue(10)).members).toEqual([member])
  })

  test('a member that is gone is not brought back by a late rearm', async () => {
    const at = await scene()
    const { job } = await accepted(at)
    await happen(at, job.id, { type: 'cancel' })
    await at.store.rearm(dueJob(job.id), 0)
    expect(await at.redis.zrange(at.keys.due, '0', '-1')).toEqual([])
  })
})

test('progress is written at most once a second, only while the job runs, and changes no revision', async () => {
  const { job } = await accepted(shared)
  await shared.store.progress(job.id, 'default', { progress: 0.1, partial: 'Once' })
  expect((await shared.store.read(job.id))?.progress).toBeNull()
  await happen(shared, job.id, { type: 'intend', claim: 'c' })
  const running = await happen(shared, job.id, {
    type: 'observed',
    attempt: 1,
    prediction: prediction('processing', { id: job.id }),
  })
  // Both reach Redis together.
  await Promise.all([
    shared.store.progress(job.id, 'default', { progress: 0.2, partial: 'Once upon' }),
    shared.store.progress(job.id, 'default', { progress: 0.3, partial: 'Once' }),
  ])
  const read = await shared.store.read(job.id)
  expect(read).toMatchObject({ progress: 0.2, partial: 'Once upon' })
  expect(running.status === 'applied' && running.state.job.rev).toBe(read?.rev)
  await happen(shared, job.id, {
    type: 'observed',
    attempt: 1,
    prediction: prediction('succeeded', { id: job.id, output: ['Once upon a time'] }),
  })
  expect((await shared.store.read(job.id))?.partial).toBeNull()
  expect(await shared.redis.exists(shared.keys.partial(job.id))).toBe(0)
})

describe('a long input', () => {
  const input = { prompt: 'x'.repeat(20_000), seed: 7 }

  test('is kept beside the record, which no older release touches, until the payload goes', async () => {
    const { store, redis, keys } = shared
    const { job } = await accepted(shared, { input })
    expect(job.input).toEqual({ prompt: `${'x'.repeat(200)}\u2026`, seed: 7 })
    expect(await redis.hget(keys.job(job.id), 'v')).toBe('3')
    expect(await redis.strlen(keys.order(job.id))).toBeLessThan(1000)
    expect(await store.read(job.id)).toMatchObject({
      v: 1,
      input: job.input,
      input_bytes: JSON.stringify(input).length,
    })
    expect(await store.whole(job)).toEqual({ ...job, input, input_bytes: null })
    // Commits do not change it.
    await happen(shared, job.id, { type: 'intend', claim: 'c', output_shape: 'text' })
    await happen(shared, job.id, { type: 'cancel' })
    const canceled = await happen(shared, job.id, { type: 'not_sent', attempt: 1, claim: 'c' })
    const state = canceled.status === 'applied' ? canceled.state : null
    expect(state && (await store.whole(state.job)).input).toEqual(input)

    const payload: Purge = { remove: 'parts', parts: ['payload', 'entry'], next: 1 }
    expect(state && (await store.purge(state, payload, randomUUID()))).toBe(true)
    expect(await redis.exists(keys.input(job.id))).toBe(0)
    const folded = await store.read(job.id)
    expect(folded).toMatchObject({
      input: null,
      input_bytes: null,
      input_sha256: inputHash({ input, input_sha256: null }),
    })
    expect(await redis.hget(keys.job(job.id), 'v')).toBe('2')
    expect(folded && (await store.whole(folded))).toEqual(folded)
  })

  test('goes with the record', async () => {
    const { store, redis, keys } = shared
    const { job } = await accepted(shared, { input })
    await happen(shared, job.id, { type: 'cancel' })
    const { state } = await store.load(job.id)
    if (state) await store.purge(state, { remove: 'record', early: false, kept: null }, randomUUID())
    expect(await redis.keys(`${keys.job(job.id)}*`)).toEqual([])
  })

  test('that is gone leaves the job as it is', async () => {
    const { job } = await accepted(shared, { input })
    await shared.redis.del(shared.keys.input(job.id))
    expect(await shared.store.whole(job)).toBe(job)
  })
})

describe('the logs of a job of Replicate’s own API', () => {
  const long = `${'a'.repeat(3)}${'é'.repeat(40_000)}`
  const observe = (at: Scene, id: string, status: string, logs: string): Promise<CommitResult> =>
    happen(at, id, { type: 'observed', attempt: 1, prediction: prediction(status, { id, logs }) })

  async function purge(at: Scene, id: string, what: Purge): Promise<void> {
    const { state } = await at.store.load(id)
    expect(state && (await at.store.purge(state, what, randomUUID()))).toBe(true)
  }

  async function running(at: Scene, changes: Partial<JobRecord>): Promise<string> {
    const { job } = await accepted(at, changes)
    await happen(at, job.id, { type: 'intend', claim: 'c' })
    await observe(at, job.id, 'processing', '')
    return job.id
  }

  test('are kept while it runs and with its end, until its payload goes', async () => {
    const { store, redis, keys } = shared
    const id = await running(shared, { via: 'replicate' })
    expect(await store.logsOf(id)).toBeNull()
    const rings: string[] = []
    const listener = redis.duplicate()
    listener.on('message', (_channel, message: string) => rings.push(message))
    await listener.subscribe(keys.progress)
    for (const logs of ['step 1', 'step 1', 'step 1\nstep 2']) {
      await store.progress(id, 'default', { progress: null, partial: null, logs })
      // The second is over.
      await redis.hset(keys.job(id), 'progress_at', '0')
    }
    await listener.unsubscribe(keys.progress)
    listener.disconnect()
    expect(await store.logsOf(id)).toBe('step 1\nstep 2')
    // Unchanged logs are no news.
    expect(rings.filter((message) => message.includes(id))).toHaveLength(2)

    await observe(shared, id, 'failed', long)
    expect(await store.logsOf(id)).toBe('é'.repeat(32 * 1024))
    await purge(shared, id, { remove: 'parts', parts: ['payload'], next: 1 })
    expect(await redis.exists(keys.logs(id))).toBe(0)
  })

  test('are removed with the record, and not kept of other jobs', async () => {
    const { store, redis, keys } = shared
    const id = await running(shared, { via: 'replicate' })
    await observe(shared, id, 'failed', 'out of memory')
    expect(await store.logsOf(id)).toBe('out of memory')
    await purge(shared, id, { remove: 'record', early: true, kept: null })
    expect(await redis.keys(`${keys.job(id)}*`)).toEqual([])
    const other = await running(shared, {})
    await observe(shared, other, 'failed', 'out of memory')
    expect(await store.logsOf(other)).toBeNull()
  })
})

test('files that outlive the record are remembered in one commit with its end, until they are forgotten', async () => {
  const at = await scene()
  const job = newJob({})
  await at.store.create(job, null, randomUUID())
  await happen(at, job.id, { type: 'cancel' })
  const { state } = await at.store.load(job.id)
  if (!state) throw new Error('no state')
  const files = { tenant: 'default', keys: ['a/b', 's3://bucket/c'], folders: ['a'] }
  const kept: Purge = { remove: 'record', early: false, kept: { files, until: 123_456 } }
  expect(await at.store.purge(state, kept, randomUUID())).toBe(true)
  expect(await at.store.read(job.id)).toBeNull()
  expect(await at.store.keptFiles(job.id)).toMatchObject(files)
  expect(await at.redis.zrange(at.keys.retention, '0', '-1', 'WITHSCORES')).toEqual([`files:${job.id}`, '123456'])
  expect((await at.store.claimRetention(10)).ids).toEqual([`files:${job.id}`])
  await at.store.forgetKeptFiles(job.id)
  expect(await at.store.keptFiles(job.id)).toBeNull()
  expect(Object.keys(await dump(at)).filter((key) => key.includes(job.id))).toEqual([])
  expect(await at.redis.zrange(at.keys.retention, '0', '-1')).toEqual([])
})

test('a purge removes the prediction index, the payload, the idempotency entry, or everything', async () => {
  const at = await scene()
  const other = await accepted(at)
  const untouched = Object.keys(await dump(at))
  const job = newJob({ idempotency: 'entry' })
  await at.store.create(job, { entry: 'entry', body: 'b' }, randomUUID())
  await happen(at, job.id, { type: 'intend', claim: 'c' })
  await happen(at, job.id, { type: 'observed', attempt: 1, prediction: prediction('failed', { id: 'p1' }) })
  const purge = async (what: Purge) => {
    const { state } = await at.store.load(job.id)
    if (!state) throw new Error('no state')
    await at.store.purge(state, what, randomUUID())
  }

  expect(await at.redis.exists(at.keys.prediction('default', 'p1'))).toBe(1)
  await purge(parts('index'))
  expect(await at.redis.exists(at.keys.prediction('default', 'p1'))).toBe(0)
  expect((await at.store.read(job.id))?.input).not.toBeNull()

  await purge(parts('payload'))
  expect(await at.store.read(job.id)).toMatchObject({ input: null, output: null, status: 'failed' })
  expect(await at.store.idempotent('entry')).toEqual({ job: job.id, body: 'b' })

  await purge(parts('entry'))
  expect(await at.store.idempotent('entry')).toBeNull()

  await purge(RECORD)
  expect(await at.store.read(job.id)).toBeNull()
  const left = await dump(at)
  expect(Object.keys(left).filter((key) => key.includes(job.id))).toEqual([])
  expect(await at.redis.zrange(at.keys.retention, '0', '-1')).toEqual([])
  expect((await at.store.list('default', { limit: 10 })).jobs.map(({ id }) => id)).toEqual([other.job.id])
  expect(untouched.filter((key) => !(key in left))).toEqual([])
})

test('a full Redis takes no new work, and lets what runs come to its end', async () => {
  const own = await startOwnRedis({ extraFlags: ['--maxmemory-policy', 'noeviction'] })
  const at = await scene({ url: own.url })
  const [running, waiting] = [await accepted(at), await accepted(at)]
  await happen(at, running.job.id, { type: 'intend', claim: 'c' })
  await at.redis.config('SET', 'maxmemory', '1mb')
  await expect(at.redis.set('x', 'y')).rejects.toThrow(/OOM/)

  await expect(at.store.create(newJob(), null, randomUUID())).rejects.toThrow(/OOM/)
  await expect(happen(at, waiting.job.id, { type: 'intend', claim: 'd' })).rejects.toThrow(/OOM/)
  const done = prediction('succeeded', { id: 'p', output: ['https://replicate.delivery/y'] })
  expect((await happen(at, running.job.id, { type: 'observed', attempt: 1, prediction: done })).status).toBe('applied')
  expect((await happen(at, running.job.id, { type: 'stored', attempt: 1, output: [], artifacts: [] })).status).toBe(
    'applied',
  )
  expect((await happen(at, waiting.job.id, { type: 'cancel' })).status).toBe('applied')
  expect((await at.store.claimDue(10)).now).toBeGreaterThan(0)
  const { state } = await at.store.load(running.job.id)
  if (state) await at.store.purge(state, RECORD, randomUUID())
  expect(await at.store.read(running.job.id)).toBeNull()
  at.redis.disconnect()
  await own.stop()
})

/** A job whose POST is in flight. */
async function underWay(at: Scene): Promise<{ id: string; claim: string }> {
  const { job } = await accepted(at)
  const result = await happen(at, job.id, { type: 'intend', claim: job.id }, 'worker', job.id)
  if (result.status !== 'applied') throw new Error(`no intent: ${result.status}`)
  return { id: job.id, claim: job.id }
}
const intend = async (at: Scene): Promise<CommitResult> => {
  const { job } = await accepted(at)
  return happen(at, job.id, { type: 'intend', claim: job.id })
}
const lose = (at: Scene, { id, claim }: { id: string; claim: string }): Promise<CommitResult> =>
  happen(at, id, { type: 'lost', attempt: 1, claim, reason: 'ECONNRESET' }, 'create')
const succeed = (at: Scene, { id }: { id: string }): Promise<CommitResult> =>
  happen(at, id, { type: 'observed', attempt: 1, prediction: prediction('starting', { id }) }, 'create')
const refuse = (at: Scene, { id, claim }: { id: string; claim: string }): Promise<CommitResult> =>
  happen(at, id, {
    type: 'refused',
    attempt: 1,
    claim,
    outcome: 'refused_401',
    error: null,
    pause: null,
    health: 'refused',
  })
/** Returns whether an action leads to a pause of the given length, ms. */
async function pausesBy(at: Scene, work: () => Promise<unknown>): Promise<(ms: number) => boolean> {
  const before = await at.store.now()
  await work()
  const until = Number(await at.redis.hget(at.keys.account(ACCOUNT), 'paused_until'))
  const after = await at.store.now()
  return (ms) => until - after <= ms && ms <= until - before
}
const several = async <T>(n: number, make: () => Promise<T>): Promise<T[]> => {
  const made: T[] = []
  for (let i = 0; i < n; i++) made.push(await make())
  return made
}
/** Ends a pause that is too long to be waited for. */
const endPause = async (at: Scene): Promise<void> =>
  void (await at.redis.hset(at.keys.account(ACCOUNT), 'paused_until', '0'))
const pauseEnds = (at: Scene): Promise<void> =>
  waitFor('the pause to end', async () => !(await at.store.pause(ACCOUNT))?.until).then(() => undefined)

describe('the pause clock', () => {
  const reading = async (at: Scene, id: string): Promise<number> => (await at.store.load(id)).paused

  test('counts what has passed of a pause, and all of it in the end', async () => {
    const at = await scene()
    const { job } = await accepted(at)
    expect(await reading(at, job.id)).toBe(0)
    const from = await at.store.now()
    await at.store.pauseCreation(ACCOUNT, 300, 'rate_limited')
    const half = await waitFor('half of the pause', async () => {
      const ms = await reading(at, job.id)
      return ms >= 100 && ms
    })
    expect(half).toBeLessThanOrEqual((await at.store.now()) - from)
    await pauseEnds(at)
    expect(await reading(at, job.id)).toBe(300)
  })

  test('counts time once that two pauses share, keeps the longest, and adds up one after the other', async () => {
    const at = await scene()
    const { job } = await accepted(at)
    const from = await at.store.now()
    await at.store.pauseCreation(ACCOUNT, 4000, 'rate_limited')
    const begun = await at.store.now()
    await at.store.pauseCreation(ACCOUNT, 100, 'account')
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'rate_limited' })
    await at.store.pauseCreation(ACCOUNT, 5000, 'storage')
    const longest = await at.store.pause(ACCOUNT)
    expect(longest).toMatchObject({ reason: 'storage' })
    await pauseEnds(at)
    const first = await reading(at, job.id)
    expect(first).toBeGreaterThanOrEqual((longest?.until ?? 0) - begun)
    expect(first).toBeLessThanOrEqual((longest?.until ?? 0) - from)
    await at.store.pauseCreation(ACCOUNT, 200, 'upstream')
    await pauseEnds(at)
    expect(await reading(at, job.id)).toBe(first + 200)
  })

  test('counts on while creation stands half open, until upstream is found well', async () => {
    const at = await scene({ timings: { troublePause: { first: 100, longest: 100 }, ramp: 0 } })
    const watched = await accepted(at)
    const clock = (): Promise<number> => reading(at, watched.job.id)
    const before = await at.store.now()
    for (const job of await several(3, () => underWay(at))) await lose(at, job)
    const tripped = Number(await at.redis.hget(at.keys.account(ACCOUNT), 'paused_until')) - 100
    await waitFor('the clock to run beyond the pause', async () => (await clock()) > 250)
    expect(await clock()).toBeLessThanOrEqual((await at.store.now()) - tripped)
    // Another pause adds what is between the two.
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: false, reason: 'upstream' })
    await pauseEnds(at)
    const passed = (await at.store.now()) - tripped
    expect(await clock()).toBeGreaterThanOrEqual(passed)
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    await succeed(at, await underWay(at))
    const total = await clock()
    expect(total).toBeGreaterThanOrEqual(passed)
    expect(total).toBeLessThanOrEqual((await at.store.now()) - before)
    // Upstream is healthy: elapsed time no longer counts for any job.
    await waitFor('time to pass', async () => (await at.store.now()) > before + total + 50)
    expect(await clock()).toBe(total)
  })

  test('is recorded with a new job, and when a job is retried', async () => {
    const at = await scene()
    const { id } = await underWay(at)
    await at.store.pauseCreation(ACCOUNT, 100, 'upstream')
    await pauseEnds(at)
    const { job } = await accepted(at)
    expect(job.start_paused).toBe(100)
    expect((await at.store.load(job.id)).state?.job).toEqual(job)
    const failed = prediction('failed', { id, error: '(code: PA)' })
    const result = await happen(at, id, { type: 'observed', attempt: 1, prediction: failed })
    if (result.status !== 'applied') throw new Error(result.status)
    expect(result.state.job).toMatchObject({ phase: 'resubmitting', start_paused: 100 })
    expect((await at.store.load(id)).state).toEqual(result.state)
  })
})

describe('trouble upstream', () => {
  const troubled = (options: Parameters<typeof scene>[0] = {}): Promise<Scene> =>
    scene({ ...options, timings: { troublePause: { first: 200, longest: 600 }, ramp: 0, ...options.timings } })
  const LONG: Partial<Timings> = { troublePause: { first: 60_000, longest: 600_000 } }
  const trip = async (at: Scene): Promise<void> => {
    for (const job of await several(3, () => underWay(at))) await lose(at, job)
  }

  test('stops creation at the third fault in a row, and a success in between resets the count', async () => {
    const at = await troubled({ timings: LONG })
    const [a, b, c, d, e, f] = await several(6, () => underWay(at))
    if (!a || !b || !c || !d || !e || !f) throw new Error('no jobs')
    await lose(at, a)
    await lose(at, b)
    await succeed(at, c)
    await lose(at, d)
    await lose(at, e)
    expect(await at.store.pause(ACCOUNT)).toBeNull()
    await lose(at, f)
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'upstream' })
    expect((await intend(at)).status).toBe('paused')
  })

  test('then lets one process at a time ask, one create pass, and all when that one came to be', async () => {
    const at = await troubled({ timings: LONG })
    await trip(at)
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)
    await endPause(at)
    expect((await intend(at)).status).toBe('probing')
    const asked = await Promise.all(Array.from({ length: 10 }, () => at.store.beginProbe(ACCOUNT)))
    expect(asked.filter(Boolean)).toHaveLength(1)
    expect((await intend(at)).status).toBe('probing')

    await at.store.endProbe(ACCOUNT, { well: true })
    // Upstream is healthy: no probe is needed, even if the next create comes late.
    await at.redis.hdel(at.keys.account(ACCOUNT), 'probe_lease')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)
    const waiting = await several(5, () => accepted(at))
    const results = await Promise.all(
      waiting.map(({ job }) => happen(at, job.id, { type: 'intend', claim: job.id }).then(({ status }) => status)),
    )
    expect(results.toSorted()).toEqual(['applied', 'probing', 'probing', 'probing', 'probing'])
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)

    const passed = waiting[results.indexOf('applied')]?.job.id ?? ''
    await succeed(at, { id: passed })
    expect((await intend(at)).status).toBe('applied')
    // The count restarts, and the pauses restart at the shortest.
    expect((await pausesBy(at, () => trip(at)))(60_000)).toBe(true)
  })

  test('allows no second probe while the create that passed is in flight, even a slow one', async () => {
    const at = await troubled({ timings: { readTimeout: 50, intentSilence: 500 } })
    await trip(at)
    await pauseEnds(at)
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
    await at.store.endProbe(ACCOUNT, { well: true })
    const from = await at.store.now()
    await underWay(at)
    await waitFor('another process to ask', () => at.store.beginProbe(ACCOUNT))
    expect((await at.store.now()) - from).toBeGreaterThanOrEqual(500)
  })

  test('is asked about again at once when the create that passed was not sent', async () => {
    const at = await troubled({ timings: LONG })
    const old = await underWay(at)
    const probing = async (): Promise<void> => {
      await endPause(at)
      expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
      await at.store.endProbe(ACCOUNT, { well: true })
    }
    const notSent = ({ id, claim }: { id: string; claim: string }): Promise<CommitResult> =>
      happen(at, id, { type: 'not_sent', attempt: 1, claim }, 'create')
    await trip(at)
    await probing()
    const passed = await underWay(at)
    // One from before the trouble: the turn is not its own to give back.
    await notSent(old)
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)
    await notSent(passed)
    expect((await intend(at)).status).toBe('probing')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
    // One whose turn ended takes nothing from the process that asks since then.
    await at.store.endProbe(ACCOUNT, { well: true })
    const slow = await underWay(at)
    await at.redis.hset(at.keys.account(ACCOUNT), 'probe_lease', '0')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
    await notSent(slow)
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)
    // One that was sent keeps its turn, when its answer says nothing about upstream.
    await at.store.endProbe(ACCOUNT, { well: true })
    const { id, claim } = await underWay(at)
    const silent = { outcome: 'x', error: null, pause: null, health: null }
    await happen(at, id, { type: 'refused', attempt: 1, claim, ...silent }, 'create')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(false)
  })

  test('is not what authors are that fell silent, until ten outcomes are unknown', async () => {
    const at = await troubled({ timings: { ...LONG, intentSilence: 0 } })
    const jobs = await several(10, () => underWay(at))
    for (const [i, { id }] of jobs.entries()) {
      expect(await at.store.pause(ACCOUNT), `after ${i}`).toBeNull()
      await happen(at, id, { type: 'tick' }, 'sweep')
    }
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'upstream' })
  })

  test('is not over because a prediction was found whose outcome was unknown', async () => {
    const at = await troubled()
    const jobs = await several(3, () => underWay(at))
    for (const job of jobs) await lose(at, job)
    await pauseEnds(at)
    for (const { id } of jobs)
      await happen(at, id, { type: 'observed', attempt: 1, prediction: prediction('starting', { id }) }, 'list')
    expect((await intend(at)).status).toBe('probing')
  })

  test('that comes between the probe and its create takes that turn back', async () => {
    const at = await troubled()
    const old = await underWay(at)
    await trip(at)
    await pauseEnds(at)
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    expect((await pausesBy(at, () => lose(at, old)))(400)).toBe(true)
    await pauseEnds(at)
    expect((await intend(at)).status).toBe('probing')
  })

  test('is asked about again when the process that asked died', async () => {
    const at = await troubled({ timings: { readTimeout: 100 } })
    await trip(at)
    await pauseEnds(at)
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
    await waitFor('another process to ask', () => at.store.beginProbe(ACCOUNT))
  })

  test('that continues pauses longer each time, up to the maximum', async () => {
    const at = await troubled()
    expect((await pausesBy(at, () => trip(at)))(200)).toBe(true)
    for (const ms of [400, 600, 600]) {
      await pauseEnds(at)
      expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
      const paused = await pausesBy(at, () => at.store.endProbe(ACCOUNT, { well: false, reason: 'upstream' }))
      expect(paused(ms)).toBe(true)
    }
  })

  test('that the one create meets pauses longer, too', async () => {
    const at = await troubled()
    await trip(at)
    await pauseEnds(at)
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    const job = await underWay(at)
    expect((await pausesBy(at, () => lose(at, job)))(400)).toBe(true)
    await pauseEnds(at)
    expect((await intend(at)).status).toBe('probing')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
  })

  test('that a limit interrupts is asked about again when its pause ends', async () => {
    const at = await troubled()
    await trip(at)
    await pauseEnds(at)
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    const { id, claim } = await underWay(at)
    const pause = { for: 100, reason: 'rate_limited' } as const
    const limited = { outcome: 'rate_limited', error: null, health: null, pause }
    await happen(at, id, { type: 'refused', attempt: 1, claim, ...limited }, 'create')
    await pauseEnds(at)
    expect((await intend(at)).status).toBe('probing')
    expect(await at.store.beginProbe(ACCOUNT)).toBe(true)
  })

  test('that many creates meet at once is one trouble: the pause is the shortest', async () => {
    const at = await troubled({ timings: LONG })
    // More than the outcomes that may be unknown at once, too.
    const jobs = await several(12, () => underWay(at))
    const paused = await pausesBy(at, async () => {
      for (const job of jobs) await lose(at, job)
    })
    expect(paused(60_000)).toBe(true)
  })

  test('reports why creation is stopped also between its pauses, even after a different pause', async () => {
    const at = await troubled()
    await trip(at)
    await pauseEnds(at)
    expect(await at.store.pause(ACCOUNT)).toEqual({ reason: 'upstream', until: null })
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: false, reason: 'account' })
    await at.store.pauseCreation(ACCOUNT, 60_000, 'rate_limited')
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'rate_limited' })
    await endPause(at)
    expect(await at.store.pause(ACCOUNT)).toEqual({ reason: 'account', until: null })
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    expect(await at.store.pause(ACCOUNT)).toEqual({ reason: 'account', until: null })
    await succeed(at, await underWay(at))
    expect(await at.store.pause(ACCOUNT)).toBeNull()
  })

  test('a refusal that is over closes the breaker at once, and counts only the time that it lasted', async () => {
    const at = await troubled({ timings: LONG })
    await at.store.endProbe(ACCOUNT, { well: false, reason: 'account' })
    await at.store.endRefusal(ACCOUNT, ['webhook'])
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'account' })
    await at.store.endRefusal(ACCOUNT, ['account'])
    expect(await at.redis.hmget(at.keys.account(ACCOUNT), 'half_open', 'trips')).toEqual([null, null])
    const [total, until] = await at.redis.hmget(at.keys.account(ACCOUNT), 'paused_total', 'paused_until')
    expect(Number(until)).toBeLessThanOrEqual(await at.store.now())
    expect(Number(total)).toBeLessThan(60_000)
    await at.store.endProbe(ACCOUNT, { well: false, reason: 'account' })
    await at.store.pauseCreation(ACCOUNT, 3_600_000, 'rate_limited')
    await at.store.endRefusal(ACCOUNT, ['account'])
    expect(await at.store.pause(ACCOUNT)).toMatchObject({ reason: 'rate_limited', until: expect.any(Number) })
  })

  test('a refusal of the account stops creation at once, and says so', async () => {
    const at = await troubled({ timings: LONG })
    const [one, two] = await several(2, () => underWay(at))
    if (!one || !two) throw new Error('no jobs')
    await refuse(at, one)
    const pause = await at.store.pause(ACCOUNT)
    expect(pause).toMatchObject({ reason: 'account' })
    await refuse(at, two)
    expect(await at.store.pause(ACCOUNT)).toEqual(pause)
    expect((await intend(at)).status).toBe('paused')
  })

  test('ten outcomes that are unknown at once stop creation, though faults were not in a row', async () => {
    const at = await troubled()
    const jobs = await several(20, () => underWay(at))
    const [wells, lost] = [jobs.slice(0, 10), jobs.slice(10)]
    const paused = await pausesBy(at, async () => {
      for (const [i, job] of lost.entries()) {
        expect(await at.store.pause(ACCOUNT)).toBeNull()
        const well = wells[i]
        if (well) await succeed(at, well)
        await lose(at, job)
      }
    })
    expect(await at.store.unknownAttempts(ACCOUNT)).toHaveLength(10)
    expect(paused(600)).toBe(true)
    await pauseEnds(at)
    expect((await intend(at)).status).toBe('probing')
  })

  test('is followed by a rate that grows from a tenth to the whole', async () => {
    const perMinute = 60_000
    const at = await troubled({ perMinute, burst: 1, timings: { ramp: 1500 } })
    const jobs: { id: string; claim: string }[] = []
    const create = async (): Promise<number> => {
      const { job } = await accepted(at)
      for (;;) {
        const result = await happen(at, job.id, { type: 'intend', claim: job.id })
        if (result.status === 'applied') {
          jobs.push({ id: job.id, claim: job.id })
          return result.state.job.submitted_at ?? 0
        }
        if (result.status !== 'limited') throw new Error(result.status)
        expect(result.waitMs).toBeLessThanOrEqual(10)
      }
    }
    await several(3, create)
    for (const job of jobs) await lose(at, job)
    await pauseEnds(at)
    await at.store.beginProbe(ACCOUNT)
    await at.store.endProbe(ACCOUNT, { well: true })
    await create()
    const probe = jobs.at(-1)
    if (!probe) throw new Error('no job')
    await succeed(at, probe)
    const account = at.keys.account(ACCOUNT)
    const from = Number(await at.redis.hget(account, 'ramp_from'))
    /** How long the token of a create took, and how long it should have taken: 1 ms at the full rate, 10 at a tenth. */
    const interval = async (): Promise<{ took: number; should: number }> => {
      const then = await create()
      const took = Number(await at.redis.hget(account, 'next_arrival')) / 1000 - then
      return { took, should: 1 / Math.min(1, Math.max(0.1, (then - from) / 1500)) }
    }
    for (const after of [0, 700, 1500]) {
      await waitFor('the rate to grow', async () => (await at.store.now()) > from + after)
      const { took, should } = await interval()
      // The time of an intent is kept in whole ms.
      expect(took).toBeGreaterThanOrEqual(should - 0.1)
      expect(took).toBeLessThanOrEqual(should + 1.1)
    }
  })
})

test('the mutable fields of a job stay compact in Redis, even when others are long', async () => {
  const at = await scene()
  const long = 'x'.repeat(1000)
  const { job } = await accepted(at, { id: `job_${ulid()}`, input: { prompt: long }, metadata: { note: long } })
  const compact = async (): Promise<void> => {
    expect(await at.redis.object('ENCODING', at.keys.job(job.id))).toBe('listpack')
  }
  const seen = (status: string, changes: object = {}): JobEvent => ({
    type: 'observed',
    attempt: 1,
    prediction: prediction(status, { id: 'x'.repeat(26), ...changes }),
    webhook_id: `msg_${'x'.repeat(27)}`,
  })
  await happen(at, job.id, { type: 'intend', claim: newCommitId() })
  await happen(at, job.id, seen('processing'))
  await at.store.progress(job.id, 'default', { progress: 0.333_333_333, partial: long })
  await compact()
  await happen(at, job.id, { type: 'cancel' })
  await compact()
  await happen(at, job.id, seen('succeeded', { output: { text: long }, metrics: { predict_time: 1.23456789 } }))
  await compact()
  expect(await at.store.read(job.id)).toMatchObject({ input: { prompt: long }, output: { text: long } })
})

test("of a job's history the newest hundred lines are kept, in order, at the time of Redis", async () => {
  const { job } = await accepted(shared)
  const from = await shared.store.now()
  for (let i = 0; i < 60; i++) {
    await happen(shared, job.id, { type: 'intend', claim: `c${i}` }, 'worker')
    await happen(shared, job.id, { type: 'not_sent', attempt: i + 1, claim: `c${i}` }, 'worker')
  }
  const history = await shared.store.history(job.id)
  expect(history).toHaveLength(100)
  expect(history.map(({ at }) => at)).toEqual(history.map(({ at }) => at).toSorted((a, b) => a - b))
  expect(history.at(-1)).toMatchObject({
    entry: { phase: 'queued', cause: 'worker', attempt: 60, attempt_state: 'closed' },
  })
  expect(history[0]).toMatchObject({ entry: { phase: 'submitting', attempt: 11 } })
  expect(history[0]?.at).toBeGreaterThanOrEqual(from)
  expect(history.at(-1)?.at).toBeLessThanOrEqual(await shared.store.now())
})

describe('predictions of an account', () => {
  test("are unowned until an attempt takes them, or they are known to be another's", async () => {
    const at = await scene()
    const { id } = await underWay(at)
    expect(await at.store.unowned(ACCOUNT, [])).toEqual([])
    expect(await at.store.unowned(ACCOUNT, [id, 'theirs', 'nobodys'])).toEqual([id, 'theirs', 'nobodys'])
    await succeed(at, { id })
    await at.store.rememberForeign(ACCOUNT, 'theirs')
    expect(await at.store.unowned(ACCOUNT, [id, 'theirs', 'nobodys'])).toEqual(['nobodys'])
    expect(await at.store.unowned('another', [id, 'theirs'])).toEqual([id, 'theirs'])
  })

  test('of an attempt that outlived its job stay its own until they have ended', async () => {
    const at = await scene({ timings: { stopBound: 0 } })
    const { id, claim } = await underWay(at)
    await lose(at, { id, claim })
    await happen(at, id, { type: 'cancel' })
    await happen(at, id, { type: 'tick' }, 'sweep')
    for (const status of ['starting', 'canceled']) {
      const result = await happen(at, id, { type: 'observed', attempt: 1, prediction: prediction(status, { id }) })
      expect([status, result.status]).toEqual([status, 'applied'])
    }
    expect((await at.store.load(id)).state).toMatchObject({
      job: { phase: 'canceled' },
      attempts: [{ state: 'closed', outcome: 'canceled', prediction_id: id }],
    })
    expect(await at.store.openPredictions(ACCOUNT)).toBe(0)
  })

  test('of a create that Redis forgot are looked for from the moment at which that was found', async () => {
    const at = await scene()
    const { job } = await accepted(at)
    await happen(at, job.id, { type: 'forgotten', attempt: 1, reason: 'ECONNRESET' })
    const intended_at = (await at.store.load(job.id)).state?.attempts[0]?.intended_at
    expect(intended_at).toBeGreaterThanOrEqual(job.created_at)
    expect(await at.store.unknownAttempts(ACCOUNT)).toMatchObject([{ job: job.id, attempt: 1, intended_at }])
  })

  test('of others are forgotten when upstream has removed them', async () => {
    const at = await scene({ timings: { outputLifetime: 20 } })
    await at.store.rememberForeign(ACCOUNT, 'old')
    const from = await at.store.now()
    await waitFor('its time to pass', async () => (await at.store.now()) > from + 60)
    await at.store.rememberForeign(ACCOUNT, 'new')
    expect(await at.store.unowned(ACCOUNT, ['old', 'new'])).toEqual(['old'])
  })

  test('of an unknown outcome are searched until it is known', async () => {
    const at = await scene()
    const [one, two, three] = await several(3, () => underWay(at))
    if (!one || !two || !three) throw new Error('no jobs')
    for (const job of [one, two, three]) await lose(at, job)
    const unknown = async (): Promise<string[]> => (await at.store.unknownAttempts(ACCOUNT)).map(({ job }) => job)
    expect((await unknown()).sort()).toEqual([one.id, two.id, three.id].sort())
    await happen(at, one.id, { type: 'not_sent', attempt: 1, claim: one.claim })
    const began = (await at.store.now()) + 3_600_000
    await happen(at, two.id, { type: 'not_listed', attempt: 1, began })
    expect((await unknown()).sort()).toEqual([two.id, three.id].sort())
    await happen(at, two.id, { type: 'not_listed', attempt: 1, began: began + at.timings.listingGap })
    expect(await unknown()).toEqual([three.id])
    await succeed(at, three)
    expect(await unknown()).toEqual([])
  })

  test('have an owner while they are open', async () => {
    const at = await scene()
    const [one, two] = await several(2, () => underWay(at))
    if (!one || !two) throw new Error('no jobs')
    await succeed(at, one)
    await succeed(at, two)
    expect(await at.store.openOwners(ACCOUNT, [])).toEqual(new Map())
    expect(await at.store.openOwners(ACCOUNT, ['x', two.id, one.id])).toEqual(
      new Map([
        [two.id, { job: two.id, attempt: 1 }],
        [one.id, { job: one.id, attempt: 1 }],
      ]),
    )
    expect(await at.store.openPredictions(ACCOUNT)).toBe(2)
    await happen(at, two.id, { type: 'observed', attempt: 1, prediction: prediction('failed', { id: two.id }) })
    expect([...(await at.store.openOwners(ACCOUNT, [one.id, two.id])).keys()]).toEqual([one.id])
    expect(await at.store.openPredictions(ACCOUNT)).toBe(1)
  })
})

test('webhooks are silent when five predictions in a row were found final by asking', async () => {
  const at = await scene()
  const end = async (cause: Cause): Promise<void> => {
    const { id } = await underWay(at)
    await succeed(at, { id })
    await happen(
      at,
      id,
      { type: 'observed', attempt: 1, prediction: prediction('succeeded', { id, output: 'x' }) },
      cause,
    )
  }
  for (const cause of ['poll', 'list', 'poll', 'list'] as const) await end(cause)
  // The responses to a cancel and to the create say nothing about webhooks.
  await end('cancel')
  await end('create')
  expect(await at.store.webhooksSilent(ACCOUNT)).toBe(false)
  await end('poll')
  expect(await at.store.webhooksSilent(ACCOUNT)).toBe(true)
  const { job } = await accepted(at)
  expect((await at.store.load(job.id)).silence).toBe(5)
  await end('webhook')
  expect(await at.store.webhooksSilent(ACCOUNT)).toBe(false)
  expect((await at.store.load(job.id)).silence).toBe(0)
})

test('how long runs of a model take is known from the fifth on', async () => {
  const at = await scene()
  for (const ms of [1000, 1100, 900, 1000]) at.store.rememberRun('a/b', ms)
  expect(await at.store.expectedRun('a/b')).toBeNull()
  for (let i = 0; i < 20; i++) at.store.rememberRun('a/b', i < 19 ? 1000 : 60_000)
  const expected = (await at.store.expectedRun('a/b')) ?? 0
  expect(expected / 1000).toBeGreaterThan(0.85)
  expect(expected / 1000).toBeLessThan(1.15)
  expect(await at.store.expectedRun('c/d')).toBeNull()
})

test('how long runs take follows a model that changes, and what is kept of it stays small', async () => {
  const at = await scene()
  const runs = (count: number, ms: number): void => {
    for (let i = 0; i < count; i++) at.store.rememberRun('a/b', ms)
  }
  runs(3000, 60_000)
  expect(await at.store.expectedRun('a/b')).toBeGreaterThan(50_000)
  runs(5, 3_600_000)
  runs(2500, 1000)
  expect(await at.store.expectedRun('a/b')).toBeLessThan(1200)
  const counts = Object.values(await at.redis.hgetall(at.keys.runTimes('a/b'))).map(Number)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1000)
  // What was seldom is gone.
  expect(counts).toHaveLength(2)
})

test('storage failures report their duration until storage works', async () => {
  const at = await scene()
  // The beginning is kept in whole ms.
  expect(await at.store.storageFailed()).toBeLessThan(1)
  await waitFor('it to fail for a while', async () => (await at.store.storageFailed()) > 50)
  await at.store.storageWorked()
  expect(await at.store.storageFailed()).toBeLessThan(1)
})

describe('the commit script', () => {
  const head = { id: 'commit', revision: null }
  const runner = (at: Scene) => createCommitRunner(at.redis, at.timings, at.generation)
  const input = ({ keys }: Scene) => new CommitScriptInput(keys.job('none'), keys.account(ACCOUNT))

  /** Complete, or it does not compile. */
  const OPERATIONS: Record<CommitOperation, true> = {
    afford: true,
    ask: true,
    batch_done: true,
    budgets_are: true,
    charge_budget: true,
    correct_budget: true,
    below: true,
    count_spending: true,
    count_stored: true,
    crowd: true,
    del: true,
    deployment: true,
    expire: true,
    fault: true,
    first: true,
    free: true,
    generation: true,
    hdel: true,
    healthy: true,
    hincrby: true,
    hold: true,
    hset: true,
    hset_in: true,
    hset_line: true,
    hset_paused: true,
    in_batch: true,
    land: true,
    leased: true,
    may_begin: true,
    may_spend: true,
    may_store: true,
    mine: true,
    model_fault: true,
    model_pass: true,
    model_works: true,
    owe: true,
    pause: true,
    probe_back: true,
    room: true,
    sadd: true,
    set: true,
    settle: true,
    srem: true,
    stop_batch: true,
    throttled: true,
    xadd: true,
    zadd: true,
    zadd_all: true,
    zadd_from: true,
    zadd_in: true,
    zrem: true,
  }

  test('knows the operations that can be sent, and no others', () => {
    const source = readFileSync(new URL('../../src/shared/jobs/commit/commit.lua', import.meta.url), 'utf8')
    const table = /local type_of = \{(.*?)\n\}/s.exec(source)?.[1] ?? ''
    const named = [...table.matchAll(/(\w+) = '/g)].map(([, name]) => name)
    expect(named.toSorted()).toEqual(Object.keys(OPERATIONS).toSorted())
    const lengths = /local least = \{(.*?)\n\}/s.exec(source)?.[1] ?? ''
    expect([...lengths.matchAll(/(\w+) = \d/g)].map(([, name]) => name).toSorted()).toEqual(named.toSorted())
    // Each does something: as a guard or as a write.
    for (const name of Object.keys(OPERATIONS)) expect(source).toContain(`if name == '${name}'`)
  })

  test('writes nothing when an operation is unknown or incomplete', async () => {
    const at = await scene()
    const before = await dump(at)
    const unknown = input(at).add('set', at.keys.swept, '1')
    unknown.operations.push('no_such', '1', '0')
    await expect(runner(at).run('always', unknown, head)).rejects.toThrow('there is no operation no_such')
    const cut = input(at).add('set', at.keys.swept, '1')
    cut.operations.pop()
    await expect(runner(at).run('always', cut, head)).rejects.toThrow('set is incomplete')
    const short = input(at)
    short.operations.push('zadd', String(short.indexOf(at.keys.due)), '1', '1')
    await expect(runner(at).run('always', short, head)).rejects.toThrow('zadd is incomplete')
    expect(await dump(at)).toEqual(before)
  })
})

describe('when the clock of Redis is set back by ten minutes', () => {
  const BACK = 600_000

  test('what was due is due, and pauses and leases last as long as they would have', async () => {
    const at = await scene()
    const state = await accepted(at)
    const ahead = Date.now() + BACK
    const member = `job:${state.job.id}`
    await at.redis.set(at.keys.swept, ahead)
    await at.redis.zadd(at.keys.due, ahead - 5, member, ahead + 60_000, 'job:later')
    await at.redis.hset(at.keys.account(ACCOUNT), 'paused_until', ahead + 60_000, 'pause_reason', 'upstream')
    expect(await at.store.sweptAgo()).toBe(0)
    const { members } = await at.store.claimDue(10)
    expect(members).toMatchObject([{ member }])
    const later = Number(await at.redis.zscore(at.keys.due, 'job:later')) - Date.now()
    expect(later).toBeGreaterThan(0)
    expect(later).toBeLessThanOrEqual(60_000)
    const pause = ((await at.store.pause(ACCOUNT))?.until ?? 0) - Date.now()
    expect(pause).toBeGreaterThan(0)
    expect(pause).toBeLessThanOrEqual(60_000)
  })

  test('the create budget lets one pass, and the others at its rate', async () => {
    const at = await scene({ perMinute: 600, burst: 3 })
    const state = await accepted(at)
    await at.redis.hset(at.keys.account(ACCOUNT), 'next_arrival', (Date.now() + BACK) * 1000)
    const result = await at.store.commit(
      state,
      decide(at, state, { type: 'intend', claim: 'c' }),
      'worker',
      randomUUID(),
    )
    if (result.status !== 'applied') throw new Error(result.status)
    // All of the burst is taken: 3 tokens of 100 ms each, from the ms of the intent.
    const next = Number(await at.redis.hget(at.keys.account(ACCOUNT), 'next_arrival')) / 1000
    expect(Math.floor(next - (result.state.job.submitted_at ?? 0))).toBe(300)
  })
})

test('an ended job passes the place of its files on once, while it has none, and takes it back', async () => {
  const at = await scene()
  const places = createRetryPlaces(createArtifactNames('sets/{batch}/{index:02}.{ext}'), at.store)
  const old = (await accepted(at, { batch: 'bat_1', position: 4, phase: 'failed', status: 'failed' })).job
  const PLACE = { batch: 'bat_1', position: 4 }
  const first = places()
  expect(await Promise.all([first.take(old), places().take(old), places().take(old)])).toEqual([PLACE, null, null])
  await first.giveBack()
  expect(await places().take(old)).toEqual(PLACE)
  expect(await at.store.read(old.id)).toEqual(old)

  // The retry of a retry has the first batch and place.
  const retry = (await accepted(at, { batch: 'bat_2', position: 0, named_as: PLACE })).job
  expect(await places().take({ ...retry, status: 'canceled' })).toEqual(PLACE)
  const alone = (await accepted(at)).job
  expect(await places().take(alone)).toEqual({ batch: alone.id, position: 0 })

  const other = (await accepted(at, { batch: 'bat_3', position: 1 })).job
  const size = { width: null, height: null, duration: null, thumbnail: null }
  const artifact = { id: 'a', key: 'k', media_type: 'a/b', bytes: 1, sha256: '', ...size }
  for (const changes of [
    { status: 'succeeded' },
    { status: 'failed', artifacts: [artifact] },
    // Its copies may still be on their way.
    { status: 'canceled', progress: 1 },
  ] as Partial<JobRecord>[])
    expect(await places().take({ ...other, ...changes })).toBeNull()
  const byJob = createRetryPlaces(createArtifactNames(BUCKET_PATTERN), at.store)
  expect(await byJob().take(other)).toBeNull()
  await at.redis.del(at.keys.job(other.id))
  expect(await places().take(other)).toBeNull()
  expect(await at.redis.exists(at.keys.job(other.id))).toBe(0)
})
