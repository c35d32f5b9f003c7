import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { closeQueues, createQueues } from '../../src/queues/producer.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { labelDigest, labelMember } from '../../src/shared/jobs/record/label-member.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { auditReport, simulatorBooks } from '../support/audit.ts'
import { finished, inPhase, submitMany } from '../support/finished.ts'
import { testRedisUrl } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const PICTURE = 'black-forest-labs/flux-schnell'
const GEMINI = 'google/gemini-3-pro'

const dataDir = tempDir()
const timings = { ...DEFAULT_TIMINGS, ...SHORT_TIMINGS }
const CREATES = { perMinute: 60_000, burst: 1000 }

let service: TestService
let jobs: string[]
beforeAll(async () => {
  service = await startService({ timings: SHORT_TIMINGS, env: { DATA_DIR: dataDir } })
  const hello = (text: string) => ({ version: HELLO, input: { text }, user: text, metadata: { audited: true } })
  await service.simulator.faults({ predictions: { fail: { next: 1 } } })
  jobs = await submitMany(service, 12, (i) => hello(`job ${i}`))
  jobs.push((await service.client.submit({ model: PICTURE, input: { prompt: 'an audited apple' } })).id)
  const long = await service.client.submit({ model: GEMINI, input: { prompt: 'long' } })
  await inPhase(service, long.id, 'created', 'running')
  await service.client.cancel(long.id)
  jobs.push(long.id)
  for (const id of jobs) await finished(service, id)
})
afterAll(() => service.stop())

const audit = async (options: { quiescent?: boolean; repair?: boolean } = {}) =>
  auditReport({
    ...options,
    redis: service.redis,
    keys: service.keys,
    timings,
    creates: CREATES,
    upstream: await simulatorBooks(service),
    artifacts: createDiskArtifactStore(join(dataDir, 'artifacts')),
  })
const names = (findings: { invariant: string; id: string }[]): string[] =>
  findings.map(({ invariant, id }) => `${invariant} ${id}`).sort()

describe('an undamaged deployment', () => {
  test('has nothing to find at rest', async () => {
    const report = await waitFor('rest', async () => {
      const one = await audit({ quiescent: true })
      return one.findings.every(({ invariant }) => invariant === 'at_rest') && one.findings.length > 0 ? false : one
    })
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({ jobs: jobs.length, repaired: [], skipped: [] })
    expect(report.predictions).toBeGreaterThanOrEqual(jobs.length)
    expect(report.shares).toMatchObject([
      { tenant: 'default', priority: 'interactive', begun: jobs.length, waiting: 0 },
    ])
  })

  test('has nothing to find while it works', async () => {
    const more = submitMany(service, 100, (i) => ({ version: HELLO, input: { text: `busy ${i}` } }))
    const seen: unknown[] = []
    for (let i = 0; i < 4; i++) seen.push(...(await audit()).findings)
    jobs.push(...(await more))
    for (const id of jobs) await finished(service, id)
    expect(seen).toEqual([])
    expect((await audit()).findings).toEqual([])
  })
})

describe('damage', () => {
  /** What the damage of a test is: undone by repair, or by the test itself. */
  const undo: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const one of undo.splice(0)) await one()
    expect((await audit()).findings).toEqual([])
  })

  test('a sweep that does not come again', async () => {
    const { redis, keys } = service
    await redis.zrem(`${keys.queues}:sweep:repeat`, 'sweep')
    undo.push(async () => {
      // As a worker does when it starts.
      const queues = createQueues(redis, keys.queues, createLogger({ level: 'silent', readable: false }))
      const sweep = { name: 'sweep', data: {}, opts: { removeOnComplete: true, removeOnFail: true } }
      await queues.sweep.upsertJobScheduler('sweep', { every: timings.sweepInterval }, sweep)
      await closeQueues(queues)
    })
    expect(names((await audit()).findings)).toEqual(['sweep_scheduled sweep'])
  })

  test('to counters and indexes is found and repaired', async () => {
    const { redis, keys } = service
    const [first = '', second = '', third = ''] = jobs
    const ghost = 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV'
    await redis.hincrby(keys.phases, 'queued', 2)
    await redis.zadd(keys.tenantJobs('default'), 0, ghost)
    await redis.zadd(keys.tenantStatus('default', 'queued'), 0, first)
    await redis.zrem(keys.tenantStatus('default', 'succeeded'), second)
    await redis.zrem(keys.retention, third)
    await redis.zadd(keys.due, Date.now() + 3_600_000, `job:${first}`, Date.now() + 3_600_000, `attempt:${second}:7`)
    await redis.sadd(keys.open('default'), `${first}:1`, `${ghost}:1`)
    await redis.zadd(keys.unknown('default'), 5, `${first}:9`)
    await redis.zadd(keys.storing, 5, `${second}:1`)
    const audited = labelDigest(['metadata.audited', 'true'])
    const stray = labelDigest(['user', 'of nobody'])
    await redis.zadd(keys.tenantLabels('default'), 0, labelMember(audited, ghost), 0, labelMember(stray, first))
    await redis.zrem(keys.tenantLabels('default'), labelMember(audited, second))

    const expected = [
      'counted queued',
      `index_member_exists ${ghost}`,
      `index_member_exists ${ghost}`,
      `index_member_exists ${first}`,
      `indexed ${second}`,
      `indexed ${first}`,
      `indexed ${second}`,
      `retention ${third}`,
      `due_member_open job:${first}`,
      `index_member_exists attempt:${second}:7`,
      `open_set ${first}:1`,
      `index_member_exists ${ghost}:1`,
      `index_member_exists ${first}:9`,
      `storing_set ${second}:1`,
    ].sort()
    const found = await audit()
    expect(names(found.findings)).toEqual(expected)
    expect(found.findings.every(({ repairable }) => repairable)).toBe(true)
    expect(await redis.hget(keys.phases, 'queued')).toBe('2')

    const repaired = await audit({ repair: true })
    expect(names(repaired.repaired)).toEqual(expected)
    expect(repaired.findings).toEqual([])
    expect(await redis.hget(keys.phases, 'queued')).toBe('0')
  })

  test('to due times is found and repaired, and the job continues', async () => {
    const { redis, keys } = service
    await service.simulator.faults({ webhooks: { drop: 1 } })
    undo.push(() => service.simulator.faults({ webhooks: null }))
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'a job without a due time' } })
    await inPhase(service, id, 'created', 'running')
    await waitFor('a job without due times', async () => {
      await redis.zrem(keys.due, `job:${id}`, `attempt:${id}:1`)
      const { findings } = await audit()
      return names(findings).join() === `due ${id},due ${id}:1`
    })
    const { repaired } = await audit({ repair: true })
    expect(names(repaired)).toEqual([`due ${id}`, `due ${id}:1`])
    expect((await finished(service, id)).status).toBe('succeeded')
    jobs.push(id)
  })

  test('to records, pointers, files and the books is found, and left to a person', async () => {
    const { redis, keys } = service
    const [first = '', second = '', third = ''] = jobs
    const keep = async (key: string, field: string): Promise<void> => {
      const value = (await redis.hget(key, field)) ?? ''
      undo.push(() => redis.hset(key, field, value))
    }
    await keep(keys.job(first), 'created_at')
    await redis.hset(keys.job(first), 'created_at', '"long ago"')
    await keep(keys.job(second), 'v')
    await redis.hset(keys.job(second), 'v', '2')
    const prediction = (await service.client.get(third)).prediction_id ?? ''
    const newest = (await service.client.get(third)).attempt
    await keep(keys.job(third), `${newest}.outcome`)
    await redis.hset(keys.job(third), `${newest}.outcome`, 'failed')
    await redis.set(keys.idempotency('entry'), JSON.stringify({ job: third, body: '' }))
    undo.push(() => redis.del(keys.idempotency('entry')))
    await redis.set(keys.order('job_gone'), '{}')
    undo.push(() => redis.del(keys.order('job_gone')))
    await redis.set(keys.job('job_text'), 'no hash')
    undo.push(() => redis.del(keys.job('job_text')))
    await redis.set(keys.prediction('default', 'stranger'), `${third}:1`)
    undo.push(() => redis.del(keys.prediction('default', 'stranger')))

    const { findings, skipped } = await audit()
    expect(names(findings)).toEqual(
      [
        `record_readable ${first}`,
        'record_readable job_text',
        `attempt_fits_phase ${third}`,
        `upstream_agrees ${third}:${newest}`,
        'idempotent entry',
        'record_complete job_gone',
        'prediction_owned_once stranger',
      ].sort(),
    )
    expect(findings.some(({ repairable }) => repairable)).toBe(false)
    expect(skipped).toEqual([second])
    expect(findings.find(({ invariant }) => invariant === 'upstream_agrees')?.detail).toContain(prediction)
  })

  test('to files is found', async () => {
    const id = jobs[12] ?? ''
    const { artifacts } = await service.client.get(id)
    const path = join(dataDir, 'artifacts', 'default', id, '1', '0')
    expect(artifacts).toHaveLength(1)
    const bytes = await readFile(path)
    await writeFile(path, Buffer.alloc(bytes.length))
    expect(names((await audit()).findings)).toEqual([`artifact_stored ${id}`])
    await rm(path)
    expect((await audit()).findings.map(({ detail }) => detail)).toEqual([
      expect.stringContaining('the file is missing'),
    ])
    await writeFile(path, bytes)
  })
})

describe('genqueue audit', () => {
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const child = spawnNode('src/cli/main.ts', ['audit', ...args], {
      env: {
        REDIS_URL: testRedisUrl(),
        KEY_PREFIX: service.keys.tag.slice(1, -1),
        DATA_DIR: dataDir,
        REPLICATE_API_TOKEN: 'test',
        REPLICATE_BASE_URL: service.simulator.apiUrl,
        REPLICATE_CREATES_PER_MINUTE: '60000',
        ...env,
      },
    })
    const { code } = await child.exited
    return { code, stdout: child.stdout, stderr: child.stderr }
  }

  test('reports no findings on a healthy deployment', async () => {
    const { code, stdout, stderr } = await run([])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Checked \d+ jobs, \d+ attempts, \d+ predictions at Replicate: 0 findings\.\n$/)
  })

  test('reports its findings, and repairs them when asked', async () => {
    const { redis, keys } = service
    await redis.hincrby(keys.phases, 'storing', 1)
    await redis.sadd(keys.open('default'), 'job_nowhere:1')

    const { code, stdout } = await run(['--skip-files'])
    expect(code).toBe(1)
    expect(stdout).toContain('counted  storing  the counter says 1, there are 0\n')
    expect(stdout).toMatch(/: 2 findings, 2 repairable with --repair\.\n$/)

    const json = await run(['--json'])
    expect(json.code).toBe(1)
    const lines = json.stdout.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual({
      invariant: 'counted',
      id: 'storing',
      detail: 'the counter says 1, there are 0',
      repairable: true,
      repaired: false,
    })
    expect(lines).toHaveLength(2)

    const repaired = await run(['--repair'])
    expect(repaired.code).toBe(0)
    expect(repaired.stdout).toMatch(/^repaired {2}counted/m)
    expect((await audit()).findings).toEqual([])
  })

  test.each([
    [
      'an address where nothing is',
      { REPLICATE_BASE_URL: 'http://127.0.0.1:9/v1' },
      /127\.0\.0\.1:9 does not respond \(.+\)\.$/,
    ],
    [
      'a shell without the token',
      { REPLICATE_API_TOKEN: '', SIMULATOR_PORT: '9' },
      /127\.0\.0\.1:9 does not respond \(.+\); REPLICATE_API_TOKEN is not set in this shell or in \.env/,
    ],
  ])('with %s ends with 5, and says what was not checked', async (_what, env, reason) => {
    const { code, stdout } = await run([], env)
    expect(code).toBe(5)
    const [first = '', second = ''] = stdout.split('\n')
    expect(first).not.toContain('Replicate')
    expect(second).toMatch(/^Replicate's predictions were not checked: /)
    expect(second).toMatch(reason)
  })

  test('ends with 2 when it cannot look', async () => {
    const wrong = await run(['--no-such-option'])
    expect(wrong.code).toBe(2)
    const elsewhere = await run([], { KEY_PREFIX: 'nobody' })
    expect(elsewhere).toMatchObject({ code: 2, stderr: expect.stringContaining('KEY_PREFIX') as string })
    const nowhere = await run([], { REDIS_URL: '', DATA_DIR: tempDir() })
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('no Redis runs') as string })
    expect(await service.redis.exists('{nobody}:deployment')).toBe(0)
  })
})
