import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newCommitId } from '../../src/shared/jobs/record/commit-id.ts'
import type { JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import type { JobRecord, JobState } from '../../src/shared/jobs/rules/job.ts'
import { sameAgain } from '../../src/shared/jobs/rules/new-job.ts'
import type { Purge } from '../../src/shared/jobs/rules/purge.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { auditReport } from '../support/audit.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { moneyScene, newJob } from '../support/money.ts'
import { openGate } from '../support/open-gate.ts'
import { testRedisUrl } from '../support/redis.ts'
import { prediction } from '../unit/support/job-states.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'

/** Records of final jobs that were folded with their clean-up. */

const parts = (next: number): Purge => ({ remove: 'parts', parts: ['index', 'payload', 'entry'], next })
const RECORD: Purge = { remove: 'record', early: false, kept: null }
const PREDICTION = '98qwxyva747n5106fgd2750r4p'
const VERSION = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let scene: JobScene
beforeAll(async () => {
  scene = await jobScene()
})

const seen = (status: string, changes: object = {}): JobEvent => ({
  type: 'observed',
  attempt: 1,
  prediction: prediction(status, { id: PREDICTION, ...changes }),
  webhook_id: 'msg_Eh7wsAntt8DFeE1ynnaczPwI3wO',
})
const INTENT: JobEvent = { type: 'intend', claim: 'mFzmNdkAOT_x' }
const NEVER_BEGUN: JobEvent[] = [{ type: 'cancel' }]
const ENDS: Record<string, JobEvent[]> = {
  'succeeded, with text': [
    INTENT,
    seen('processing'),
    seen('succeeded', { output: 'a text', metrics: { predict_time: 1.25 }, version: VERSION }),
  ],
  failed: [INTENT, seen('starting'), seen('failed', { error: 'CUDA out of memory' })],
  'canceled before it began': NEVER_BEGUN,
  'canceled while it ran': [INTENT, seen('processing'), { type: 'cancel' }, seen('canceled')],
}

async function ended(events: readonly JobEvent[], changes: Partial<JobRecord> = {}): Promise<string> {
  const keep: JobRecord['keep'] = [86_400, 604_800, 604_800]
  const id = await scene.accepted({ keep, resubmit_limit: 0, ...changes })
  for (const event of events) await scene.happen(id, event)
  return id
}

async function stateOf(id: string): Promise<JobState> {
  const { state } = await scene.store.load(id)
  if (!state) throw new Error('there is no such job')
  return state
}

async function purge(id: string, what: Purge = parts(Date.now() + 1000)): Promise<boolean> {
  return scene.store.purge(await stateOf(id), what, newCommitId())
}

const versionOf = (id: string) => scene.redis.hget(scene.keys.job(id), 'v')
async function bytesOf(id: string): Promise<number> {
  const { redis, keys } = scene
  const sizes = await Promise.all([keys.job(id), ...keys.documents(id)].map((key) => redis.memory('USAGE', key)))
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

/** All that readers learn of a job. */
const readAll = async (id: string) => ({
  state: await stateOf(id),
  record: await scene.store.read(id),
  history: await scene.store.history(id),
  listed: (await scene.store.list('default', { limit: 100 })).jobs.find((job) => job.id === id),
})
type Read = Awaited<ReturnType<typeof readAll>>

/** What a clean-up of payload and entry leaves of it. */
function cleaned({ state, history, ...read }: Read, input_sha256: string | null): Read {
  const gone = { rev: state.job.rev + 1, input: null, output: null, idempotency: null, input_sha256 }
  const [record, listed] = [read.record && { ...read.record, ...gone }, read.listed && { ...read.listed, ...gone }]
  return { state: { ...state, job: { ...state.job, ...gone } }, record, history, listed }
}

describe('a clean-up folds the record of a job', () => {
  test.for(Object.entries(ENDS))('that %s: it reads the same, in less memory', async ([, events]) => {
    const id = await ended(events)
    const before = await readAll(id)
    expect(await purge(id)).toBe(true)
    expect(await versionOf(id)).toBe('2')
    expect(await scene.redis.exists(...scene.keys.documents(id))).toBe(0)
    expect(await scene.redis.object('ENCODING', scene.keys.job(id))).toBe('listpack')
    const after = await readAll(id)
    expect(after).toEqual(cleaned(before, after.state.job.input_sha256))
    expect(after.state.job.input_sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(await bytesOf(id)).toBeLessThanOrEqual(500)

    // Once more, as the next clean-up does.
    expect(await purge(id)).toBe(true)
    expect(await readAll(id)).toEqual(cleaned(after, after.state.job.input_sha256))
    expect(await purge(id, RECORD)).toBe(true)
    const left = await scene.redis.keys(`*${id}*`)
    expect(left).toEqual([])
  })

  test('not while an attempt is open, nor with its payload', async () => {
    const open = await ended([INTENT, seen('starting'), { type: 'cancel' }])
    await scene.redis.hset(scene.keys.job(open), 'stop', JSON.stringify({ reason: 'canceled', requested_at: 0 }))
    await scene.happen(open, { type: 'tick' })
    expect(await purge(open)).toBe(true)
    expect(await versionOf(open)).toBe('1')
    expect((await scene.store.read(open))?.input).toBeNull()

    const whole = await ended(ENDS['failed'] ?? [])
    expect(await purge(whole, { remove: 'parts', parts: ['index'], next: Date.now() })).toBe(true)
    expect(await versionOf(whole)).toBe('1')
    expect((await scene.store.read(whole))?.input).toEqual({ prompt: 'a red apple' })
  })

  test('not when the job has changed since it was loaded', async () => {
    const id = await ended(ENDS['failed'] ?? [])
    const state = await stateOf(id)
    await purge(id, { remove: 'parts', parts: ['index'], next: Date.now() })
    expect(await scene.store.purge(state, parts(0), newCommitId())).toBe(false)
    expect(await versionOf(id)).toBe('1')
    expect((await scene.store.read(id))?.input).toEqual({ prompt: 'a red apple' })
  })

  test('once, when the reply of its commit is lost', async () => {
    const id = await ended(ENDS['failed'] ?? [])
    const [state, commit] = [await stateOf(id), newCommitId()]
    expect(await scene.store.purge(state, parts(0), commit)).toBe(true)
    const after = await readAll(id)
    expect(await scene.store.purge(state, parts(0), commit)).toBe(true)
    expect(await readAll(id)).toEqual(after)
  })
})

describe('a folded job', () => {
  test('is not changed by a webhook that comes late, and is by a prediction that nobody knew', async () => {
    const id = await ended(ENDS['succeeded, with text'] ?? [])
    await purge(id)
    const before = await readAll(id)
    const { store, timings } = scene
    const log = createLogger({ level: 'silent', readable: false })
    const lifecycle = createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => true })
    expect((await lifecycle.apply(id, seen('processing'), 'webhook')).kind).toBe('ignored')
    expect(await readAll(id)).toEqual(before)

    const result = await lifecycle.apply(id, seen('processing', { id: 'other' }), 'webhook')
    expect(result.kind).toBe('applied')
    const after = await readAll(id)
    const updated_at = after.history.at(-1)?.at
    expect(after.record).toEqual({ ...before.record, rev: before.state.job.rev + 1, updated_at })
    expect(after.state.attempts).toEqual([
      { ...before.state.attempts[0], orphans: ['other'], webhook_id: expect.any(String) },
    ])
    expect(after.state.effects).toHaveLength(1)
    expect(after.history.slice(0, -1)).toEqual(before.history)
    expect(after.history.at(-1)?.entry).toMatchObject({ note: 'orphan' })
    // It owes a cancel, so nothing of it is removed or folded until that is done.
    expect(await versionOf(id)).toBe('2')
    await scene.happen(id, seen('canceled', { id: 'other' }), 'cancel')
    expect((await stateOf(id)).effects).toEqual([])
    const settled = await readAll(id)
    await purge(id)
    expect(await readAll(id)).toEqual(cleaned(settled, settled.state.job.input_sha256))
    expect(await scene.redis.hexists(scene.keys.job(id), '1.orphans')).toBe(0)
  })

  test('passes its place in a batch on once, before and after', async () => {
    const { store } = scene
    const [early, late] = [await ended(NEVER_BEGUN), await ended(NEVER_BEGUN)]
    expect(await store.passPlace(early)).toBe(true)
    await purge(early)
    await purge(late)
    expect(await store.passPlace(early)).toBe(false)
    expect([await store.passPlace(late), await store.passPlace(late)]).toEqual([true, false])
    await purge(late)
    expect(await store.passPlace(late)).toBe(false)
    await store.takePlaceBack(late)
    expect(await store.passPlace(late)).toBe(true)
  })

  test('is repeated with the same request, apart from its input', async () => {
    const changes: Partial<JobRecord> = {
      metadata: { user: 'u' },
      timeout: 77,
      store: 'none',
      webhook_events: ['start', 'completed'],
    }
    const id = await ended(NEVER_BEGUN, changes)
    const before = sameAgain((await stateOf(id)).job)
    await purge(id)
    expect(sameAgain((await stateOf(id)).job)).toEqual(before)
    expect(before).toMatchObject(changes)
  })
})

test('money, batches and quotas count a folded job as before', async () => {
  const redis = new Redis(testRedisUrl())
  afterAll(() => redis.disconnect())
  const money = moneyScene(redis)
  await openGate(money.generation, money.real)
  const { keys, timings, real: store } = money
  const batch = money.batches.newBatchId()
  const request = {
    tenant: 'default',
    in_sequence: false,
    stop_rate: null,
    max_spend: null,
    metadata: {},
    retry_of: null,
  }
  const items = [1, 2, 3].map(() => newJob('default', { per_run: 10 }, {}))
  await money.batches.accept(request, batch, items, { entry: randomUUID(), body: '' }, { queuedJobs: null })
  const ids = await redis.zrange(keys.batchJobs(batch), '0', '-1')
  for (const [i, id] of ids.entries()) {
    await money.begin(id)
    await money.end(id, i === 0 ? 'failed' : 'succeeded')
  }
  const findings = async (): Promise<string[]> =>
    (await auditReport({ redis, keys, timings })).findings
      .filter(({ id }) => id !== 'sweep')
      .map(({ invariant, id, detail }) => `${invariant} ${id}: ${detail}`)
  expect(await findings()).toEqual([])
  for (const id of ids) {
    // The index of its prediction goes at its time only.
    const { state } = await store.load(id)
    const done: Purge = { remove: 'parts', parts: ['payload'], next: Date.now() + 1000 }
    expect(state && (await store.purge(state, done, newCommitId()))).toBe(true)
    expect(await redis.hget(keys.job(id), 'v')).toBe('2')
  }
  expect(await findings()).toEqual([])
  const first = ids[0] ?? ''
  await redis.hset(keys.job(first), 'captured', '11')
  expect((await findings()).map((line) => line.split(' ')[0]).sort()).toEqual(['batch_counted', 'hold_resolved_once'])
})
