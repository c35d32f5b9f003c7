import { randomUUID } from 'node:crypto'
import { ulid } from 'ulid'
import { describe, expect, test } from 'vitest'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import type { ArtifactRecord, JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import type { StoredQuota } from '../../src/shared/limits/rules/stored.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createCleanUp } from '../../src/workers/clean-up.ts'
import { createStoreOutputs } from '../../src/workers/store-outputs.ts'
import { createRedisUploadStore } from '../../src/shared/inputs/redis-upload-store.ts'
import { auditReport } from '../support/audit.ts'
import { jobScene } from '../support/job-scene.ts'
import { jobRecord, prediction } from '../unit/support/job-states.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'

/** What a tenant has stored, as its quota counts it: inputs and outputs, in a real Redis. */

const DAY = 86_400
const log = createLogger({ level: 'silent', readable: false })

const artifact = (index: number, bytes: number, thumbnail: number | null = null): ArtifactRecord => ({
  id: `art_${index}`,
  key: `t/job/1/${index}`,
  media_type: 'image/png',
  bytes,
  sha256: '',
  width: null,
  height: null,
  duration: null,
  thumbnail: thumbnail === null ? null : { key: `t/job/1/${index}-small`, bytes: thumbnail },
})

const FILES = [artifact(0, 100, 5), artifact(1, 20)]
/** The count of FILES. */
const ALL = { bytes: 125, files: 3 }
const NONE = { bytes: 0, files: 0 }

async function scene(defaults: StoredQuota['defaults'] = {}) {
  const own = await jobScene({}, defaults)
  const { redis, keys, store, timings, accepted, happen } = own
  const removed: string[] = []
  const remove = async (names: readonly string[]) => void removed.push(...names)

  /** A job whose prediction has succeeded, with output files that are not copied yet. */
  async function storing(changes: Partial<JobRecord> = {}): Promise<string> {
    const id = await accepted({ tenant: 't', ...changes })
    await happen(id, { type: 'intend', claim: 'c' })
    const output = ['https://replicate.delivery/a.png']
    await happen(id, { type: 'observed', attempt: 1, prediction: prediction('succeeded', { id, output }) })
    return id
  }
  async function stored(changes: Partial<JobRecord> = {}, artifacts = FILES): Promise<string> {
    const id = await storing(changes)
    await happen(id, { type: 'stored', attempt: 1, output: artifacts.map((one) => one.id), artifacts }, 'worker')
    return id
  }
  const cleanUp = createCleanUp({
    store,
    files: {
      of: ({ tenant, id }) => ({ tenant, keys: [id], folders: [] }),
      remove: ({ keys: names }) => remove(names),
    },
    keep: { usual: FIRST_KEEP, max: FIRST_KEEP },
    inputs: { removeInputs: () => Promise.resolve(), sweep: () => Promise.resolve() },
    batches: { forget: () => Promise.resolve() },
    timings,
    log,
  })
  return {
    ...own,
    removed,
    storing,
    stored,
    remove,
    uploads: createRedisUploadStore({
      redis,
      keys,
      lease: 1000,
      quota: { tenants: `${keys.tag}:tenants`, defaults },
    }),
    async used(tenant = 't') {
      const [bytes, files] = await redis.hmget(keys.stored, `${tenant}.bytes`, `${tenant}.files`)
      return { bytes: Number(bytes), files: Number(files) }
    },
    submit: (changes: Partial<JobRecord> = {}, entry: string | null = null) =>
      store.create(
        { ...jobRecord('queued'), tenant: 't', ...changes, id: `job_${ulid()}`, rev: 0 },
        entry === null ? null : { entry, body: 'b' },
        randomUUID(),
      ),
    /** What was due `seconds` after the completion of the job is removed. */
    async age(id: string, seconds: number): Promise<void> {
      await redis.hset(keys.job(id), 'completed_at', String(Date.now() - seconds * 1000))
      await redis.zadd(keys.retention, 'XX', '0', id)
      await cleanUp()
    },
    async cleanKept(id: string): Promise<void> {
      await redis.zadd(keys.retention, 'XX', '0', `files:${id}`)
      await cleanUp()
    },
    async audit(repair = false) {
      const { findings, repaired } = await auditReport({ redis, keys, repair })
      return [...findings, ...repaired]
        .filter(({ invariant }) => invariant === 'stored_counted')
        .map(({ id, detail }) => `${id}: ${detail}`)
    },
  }
}

/** The worker that stores outputs, with a copy that always has the same files. */
function storeWorker({ store, timings, remove }: Awaited<ReturnType<typeof scene>>, lifecycle = {}) {
  const real = createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => false })
  return createStoreOutputs({
    store,
    lifecycle: { ...real, ...lifecycle },
    copy: () =>
      Promise.resolve({
        kept: { output: FILES.map(({ id }) => id), output_artifact: null, artifacts: FILES },
        missing: [],
      }),
    accountNames: ['default'],
    waits: { note: () => Promise.resolve() },
    warnings: { artifactAtRisk: () => Promise.resolve() },
    artifacts: { remove },
    delivers: () => true,
    timings,
    log,
  })
}

describe('outputs count for their tenant', () => {
  test('once, with their thumbnails, however often they are copied, and when a worker dies before the commit', async () => {
    const at = await scene()
    const id = await at.storing()
    const { signal } = new AbortController()
    const dies = storeWorker(at, { apply: () => Promise.reject(new Error('the process died')) })
    await expect(dies(id, 1, signal)).rejects.toThrow('the process died')
    expect(await at.used()).toEqual(NONE)
    const works = storeWorker(at)
    await Promise.all([works(id, 1, signal), works(id, 1, signal)])
    await works(id, 1, signal)
    expect(await at.used()).toEqual(ALL)
    expect(at.removed).toEqual([])
    expect(await at.audit()).toEqual([])
  })

  test('once when the reply to the commit is lost and it is sent again', async () => {
    const at = await scene()
    const id = await at.storing()
    const { state } = await at.store.load(id)
    if (!state) throw new Error('no state')
    const commit = {
      kind: 'commit' as const,
      job: { phase: 'succeeded' as const, status: 'succeeded' as const, artifacts: FILES, completed_at: { in: 0 } },
      effects: { add: [], remove: ['store:1'] },
      due: {},
    }
    const results = [
      await at.store.commit(state, commit, 'worker', 'one'),
      await at.store.commit(state, commit, 'worker', 'one'),
      await at.store.commit(state, commit, 'worker', 'two'),
    ]
    expect(results.map(({ status }) => status)).toEqual(['applied', 'repeated', 'stale'])
    expect(await at.used()).toEqual(ALL)
  })

  test('also the part that was stored when the rest is lost, and nothing when all of it is', async () => {
    const at = await scene()
    const [some, none] = [await at.storing(), await at.storing()]
    const lost = { type: 'not_stored' as const, attempt: 1, message: 'gone' }
    await at.happen(none, lost, 'worker')
    expect(await at.used()).toEqual(NONE)
    await at.happen(some, { ...lost, kept: { output: ['art_1'], artifacts: FILES.slice(1) } }, 'worker')
    expect(await at.used()).toEqual({ bytes: 20, files: 1 })
    expect(await at.audit()).toEqual([])
  })

  test('until their job is deleted', async () => {
    const at = await scene()
    const [id] = [await at.stored(), await at.stored(), await at.stored({ tenant: 'other' })]
    expect(await at.used()).toEqual({ bytes: 250, files: 6 })
    const { state } = await at.store.load(id)
    if (!state) throw new Error('no state')
    const purge = () => at.store.purge(state, { remove: 'record', early: true, kept: null }, randomUUID())
    expect([await purge(), await purge()]).toEqual([true, false])
    expect(await at.used()).toEqual(ALL)
    expect(await at.used('other')).toEqual(ALL)
    expect(await at.audit()).toEqual([])
  })

  test('until retention removes them with the record, not when it removes the payload', async () => {
    const at = await scene()
    const id = await at.stored({ keep: [60, 2 * DAY, 2 * DAY] })
    await at.age(id, DAY)
    expect(await at.used()).toEqual(ALL)
    await at.age(id, 3 * DAY)
    expect(await at.store.read(id)).toBeNull()
    expect(await at.used()).toEqual(NONE)
    expect(await at.audit()).toEqual([])
  })

  test('until the files are removed that outlived the record', async () => {
    const at = await scene()
    const id = await at.stored({ keep: [60, DAY, 30 * DAY] })
    await at.age(id, 2 * DAY)
    expect(await at.store.read(id)).toBeNull()
    expect(at.removed).toEqual([])
    expect(await at.used()).toEqual(ALL)
    expect(await at.audit()).toEqual([])
    await at.cleanKept(id)
    expect(at.removed).toEqual([id])
    expect(await at.used()).toEqual(NONE)
    await at.store.forgetKeptFiles(id)
    expect(await at.used()).toEqual(NONE)
    expect(await at.audit()).toEqual([])
  })

  test('until the record of files that are kept forever is removed', async () => {
    const at = await scene()
    const id = await at.stored({ keep: [60, DAY, null] })
    expect(await at.used()).toEqual(ALL)
    await at.age(id, 2 * DAY)
    expect(at.removed).toEqual([])
    expect(await at.used()).toEqual(NONE)
    expect(await at.audit()).toEqual([])
  })
})

describe('a tenant at its limit', () => {
  test.each([
    ['stored_bytes', { stored_bytes: 125 }, 125, 125],
    ['stored_files', { stored_files: 2 }, 2, 3],
  ])('of %s submits no new job, and accepted ones store their output', async (limit, defaults, most, used) => {
    const at = await scene(defaults)
    const running = await at.storing()
    expect((await at.submit()).status).toBe('applied')
    await at.stored()
    const refused = { status: 'over_quota', beyond: { limit, most, used } }
    expect(await at.submit()).toEqual(refused)
    expect((await at.submit({ tenant: 'other' })).status).toBe('applied')
    // Its files stay at Replicate.
    expect((await at.submit({ store: 'none' })).status).toBe('applied')
    await expect(at.uploads.begin('upl_1', 't', 1000)).rejects.toMatchObject({
      code: 'too_much_stored',
      limit,
      allowed: most,
      used,
    })
    await storeWorker(at)(running, 1, new AbortController().signal)
    expect((await at.store.read(running))?.status).toBe('succeeded')
    expect(at.removed).toEqual([])
    expect(await at.used()).toEqual({ bytes: 250, files: 6 })
  })

  test('gets the job of an earlier request with the same key, and may submit again when files are removed', async () => {
    const at = await scene({ stored_files: 3 })
    expect((await at.submit({}, 'entry')).status).toBe('applied')
    const id = await at.stored({ keep: [60, DAY, DAY] })
    expect((await at.submit()).status).toBe('over_quota')
    expect((await at.submit({}, 'entry')).status).toBe('taken')
    await at.age(id, 2 * DAY)
    expect((await at.submit()).status).toBe('applied')
  })

  test('has its own limit before that of the deployment', async () => {
    const at = await scene({ stored_bytes: 1 })
    await at.redis.hset(`${at.keys.tag}:tenants`, 't.stored_bytes', '126')
    await at.stored()
    expect((await at.submit()).status).toBe('applied')
    await at.redis.hset(`${at.keys.tag}:tenants`, 't.stored_bytes', '')
    expect(await at.submit()).toEqual({
      status: 'over_quota',
      beyond: { limit: 'stored_bytes', most: 1, used: 125 },
    })
  })
})

describe('an audit', () => {
  test('finds a wrong count of a tenant, and repairs it', async () => {
    const at = await scene()
    const id = await at.stored({ keep: [60, DAY, 30 * DAY] })
    await at.stored()
    await at.age(id, 2 * DAY)
    await at.uploads.begin('upl_1', 't', 1000)
    await at.uploads.complete('upl_1', 't', { key: 'k', media_type: 'text/plain', bytes: 7, sha256: '' }, 1000)
    const right = { bytes: 257, files: 7 }
    expect(await at.used()).toEqual(right)
    await at.redis.hincrby(at.keys.stored, 't.bytes', 1000)
    await at.redis.hincrby(at.keys.stored, 't.files', '-2')
    const said = ['t: the count says 1257 bytes in 5 files, the records say 257 bytes in 7 files']
    expect(await at.audit()).toEqual(said)
    expect(await at.audit(true)).toEqual(said)
    expect(await at.used()).toEqual(right)
    expect(await at.audit()).toEqual([])
  })

  test('counts the files of an earlier release, which were not counted', async () => {
    const at = await scene()
    const id = await at.stored({ keep: [60, DAY, DAY] })
    await at.uploads.begin('upl_1', 't', 1000)
    await at.uploads.complete('upl_1', 't', { key: 'k', media_type: 'text/plain', bytes: 7, sha256: '' }, 1000)
    await at.redis.del(at.keys.stored)
    await at.redis.hdel(at.keys.job(id), 'counted_bytes', 'counted_files')
    await at.redis.hdel(at.keys.upload('upl_1'), 'counted')
    const said = [
      `${id}: 125 bytes in 3 files are counted as 0 bytes in 0 files`,
      'upl_1: 7 bytes in 1 files are counted as 0 bytes in 0 files',
    ]
    expect(await at.audit()).toEqual(said)
    expect(await at.audit(true)).toEqual(said)
    expect(await at.used()).toEqual({ bytes: 132, files: 4 })
    expect(await at.audit()).toEqual([])
    await at.age(id, 2 * DAY)
    await at.uploads.remove('upl_1')
    expect(await at.used()).toEqual(NONE)
  })

  test('is not needed before files of an earlier release are removed', async () => {
    const at = await scene()
    const early = [await at.stored({ keep: [60, DAY, DAY] }), await at.stored({ keep: [60, DAY, 30 * DAY] })]
    await at.redis.del(at.keys.stored)
    for (const id of early) await at.redis.hdel(at.keys.job(id), 'counted_bytes', 'counted_files')
    await at.stored()
    for (const id of early) await at.age(id, 2 * DAY)
    // Files that outlive their record count from its removal on.
    expect(await at.used()).toEqual({ bytes: 250, files: 6 })
    await at.cleanKept(early[1] ?? '')
    expect(await at.used()).toEqual(ALL)
    expect(await at.audit()).toEqual([])
  })
})
