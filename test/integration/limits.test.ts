import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LimitChange, ScopeLimits } from '../../src/client/types.ts'
import { pauseScopesOf } from '../../src/shared/jobs/rules/place.ts'
import { finished } from '../support/finished.ts'
import { runGenqueue } from '../support/genqueue.ts'
import { code, createOperator } from '../support/operator.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Limits and pauses that operators change while the service runs. */

const KEY_PREFIX = freshPrefix()
const MODEL = 'black-forest-labs/flux-schnell'
let service: TestService
let operator: ReturnType<typeof createOperator>
beforeAll(async () => {
  service = await startService({
    env: { KEY_PREFIX },
    simulator: { speed: 20 },
    timings: { sweepInterval: 200, conditionCheck: 200, troublePause: { first: 300, longest: 1000 } },
  })
  operator = createOperator(service)
})
afterAll(() => service.stop())

const genqueue = async (...args: string[]) => runGenqueue(args, { env: { REDIS_URL: testRedisUrl(), KEY_PREFIX } })
const limitsOf = async (scope: string): Promise<ScopeLimits | undefined> =>
  (await service.client.limits()).find((one) => one.scope === scope)
const submit = () => service.client.submit({ model: MODEL, input: { prompt: 'a' } })

describe('limits', () => {
  test('are shown for every account, and for each scope that has one', async () => {
    expect(await limitsOf('account:default')).toEqual({
      scope: 'account:default',
      concurrency: null,
      per_tenant: null,
      weight: null,
      creates_per_minute: 60_000,
      set: [],
      in_flight: 0,
    })
    // As its file says.
    expect(await limitsOf('preset:lip-sync')).toMatchObject({ concurrency: null, per_tenant: 20, set: [] })
    const set = await service.client.setLimits({ scope: 'tenant:acme', concurrency: 5, weight: 2.5 })
    expect(set).toMatchObject({ scope: 'tenant:acme', concurrency: 5, weight: 2.5, set: ['concurrency', 'weight'] })
    expect(await limitsOf('tenant:acme')).toEqual(set)
    const left = await service.client.setLimits({ scope: 'tenant:acme', concurrency: null })
    expect(left).toMatchObject({ concurrency: null, weight: 2.5, set: ['weight'] })
    await service.client.setLimits({ scope: 'tenant:acme', weight: null })
    expect(await limitsOf('tenant:acme')).toBeUndefined()
  })

  test('of a preset are those of its file, until an operator sets or lifts them', async () => {
    const scope = 'preset:portrait'
    await service.redis.hset(service.keys.limits, {
      [`default concurrency ${scope}`]: 7,
      [`default per_tenant ${scope}`]: 3,
    })
    expect(await limitsOf(scope)).toMatchObject({ concurrency: 7, per_tenant: 3, set: [] })
    const set = await service.client.setLimits({ scope, concurrency: 'unlimited', per_tenant: 1 })
    expect(set).toMatchObject({ concurrency: null, per_tenant: 1, set: ['concurrency', 'per_tenant'] })
    expect(await service.client.setLimits({ scope, concurrency: null, per_tenant: null })).toMatchObject({
      concurrency: 7,
      per_tenant: 3,
      set: [],
    })
  })

  test('of an account move the ceiling of its creates at once', async () => {
    const scope = 'account:default'
    expect(await service.client.setLimits({ scope, creates_per_minute: 120 })).toMatchObject({
      creates_per_minute: 120,
    })
    expect((await service.client.health()).budget.creates).toMatchObject({ per_minute: 120, ceiling: 120 })
    expect(await service.client.setLimits({ scope, creates_per_minute: null })).toMatchObject({
      creates_per_minute: 60_000,
    })
    expect((await service.client.health()).budget.creates).toMatchObject({ per_minute: 60_000, quiet_since: null })
  })

  test('of jobs in flight hold up those that wait, and let them go on when they are lifted', async () => {
    await service.client.setLimits({ scope: `model:${MODEL}`, concurrency: 1 })
    const jobs = await Promise.all([submit(), submit(), submit()])
    const held = await waitFor('a job to say that the limit holds it up', async () => {
      const seen = await Promise.all(jobs.map(({ id }) => service.client.get(id)))
      return seen.find(({ waiting_for }) => waiting_for?.reason === 'concurrency')
    })
    expect(held.waiting_for?.detail).toContain(MODEL)
    expect((await limitsOf(`model:${MODEL}`))?.in_flight).toBeLessThanOrEqual(1)
    await service.client.setLimits({ scope: `model:${MODEL}`, concurrency: null })
    const ended = await Promise.all(jobs.map(({ id }) => finished(service, id)))
    expect(ended.map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded'])
  })

  test.each<[what: string, body: object, pointer: string]>([
    ['of nothing', { scope: 'preset:portrait' }, '/concurrency'],
    ['of no scope', { concurrency: 1 }, '/scope'],
    ['of everything', { scope: 'all', concurrency: 1 }, '/scope'],
    ['of a model without its owner', { scope: 'model:flux', concurrency: 1 }, '/scope'],
    ['that do not exist for the scope', { scope: 'tenant:acme', per_tenant: 1 }, '/per_tenant'],
    ['of nothing at once', { scope: 'tenant:acme', concurrency: 0 }, '/concurrency'],
    ['with an unknown field', { scope: 'tenant:acme', concurrency: 1, concurency: 1 }, '/concurency'],
  ])('%s are refused', async (_what, body, pointer) => {
    const answer = await operator.ask<{ errors: { pointer: string }[] }>('/v1/admin/limits', { body })
    expect([answer.status, answer.body.errors.map((one) => one.pointer)]).toEqual([422, [pointer]])
  })

  test('of an account that does not exist are refused, and so are keys without the scope `admin`', async () => {
    const body = { scope: 'account:other', creates_per_minute: 5 } satisfies LimitChange
    expect(code(await operator.ask('/v1/admin/limits', { body }))).toEqual([404, 'not_found'])
    const { key } = await operator.newKey(await operator.newTenant())
    for (const path of ['/v1/admin/limits', '/v1/admin/pauses', '/v1/admin/changes'])
      expect(code(await operator.ask(path, { key }))).toEqual([403, 'forbidden'])
  })
})

describe('a pause by hand', () => {
  test.each(['all', 'account:default', `model:${MODEL}`, 'tenant:default'])(
    'of %s holds up its jobs, shows them the reason, and does not count for `start_within`',
    async (scope) => {
      const pause = await service.client.pauseCreation({ scope, reason: 'The model is being replaced.' })
      expect(pause).toMatchObject({ scope, reason: 'The model is being replaced.', by: 'development key' })
      expect(await service.client.pauses()).toEqual([pause])
      const { id } = await submit()
      const held = await waitFor('the reason', async () => {
        const job = await service.client.get(id)
        return job.waiting_for?.reason === 'paused' && job
      })
      expect(held.waiting_for).toEqual({
        reason: 'paused',
        detail: 'Paused: The model is being replaced.',
        until: null,
      })
      expect(held.status).toBe('queued')
      // As if it had lasted for an hour more: the clock of the scope counts all of it.
      const since = Date.parse(pause.since)
      await service.redis.hset(service.keys.pauseClocks, `since ${scope}`, since - 3_600_000)
      await service.client.resumeCreation(scope)
      expect(Number(await service.redis.hget(service.keys.pauseClocks, scope))).toBeGreaterThanOrEqual(3_600_000)
      expect((await finished(service, id)).status).toBe('succeeded')
    },
  )

  test('is no reason to fail a job that could not start in time, and its own time is', async () => {
    const scope = 'tenant:default'
    await service.client.pauseCreation({ scope, reason: 'one' })
    const { id } = await service.client.submit({ model: MODEL, input: { prompt: 'b' }, start_within: 60 })
    const job = await service.redis.hgetall(service.keys.job(id))
    // It was accepted an hour ago, and paused all the time.
    const hour = 3_600_000
    await service.redis.hset(service.keys.job(id), 'start_since', Number(job['start_since']) - hour)
    const since = await service.redis.hget(service.keys.pauseClocks, `since ${scope}`)
    await service.redis.hset(service.keys.pauseClocks, `since ${scope}`, Number(since) - hour)
    await service.client.resumeCreation(scope)
    expect((await finished(service, id)).status).toBe('succeeded')
  })

  test('that ended before a job was accepted gives it no more time', async () => {
    const ended = await service.redis.hgetall(service.keys.pauseClocks)
    const sum = ['all', 'account:default', 'tenant:default', `model:${MODEL}`].reduce(
      (ms, scope) => ms + Number(ended[scope] ?? 0),
      0,
    )
    const { id } = await submit()
    expect(sum).toBeGreaterThan(4 * 3_600_000)
    expect(Number(await service.redis.hget(service.keys.job(id), 'start_paused'))).toBeGreaterThanOrEqual(sum)
    expect((await finished(service, id)).status).toBe('succeeded')
  })

  test('keeps its beginning when its reason changes, and is no error twice', async () => {
    const first = await service.client.pauseCreation({ scope: 'preset:none', reason: 'one' })
    const second = await service.client.pauseCreation({ scope: 'preset:none', reason: 'two' })
    expect(second).toEqual({ ...first, reason: 'two' })
    await service.client.resumeCreation('preset:none')
    expect(code(await operator.ask('/v1/admin/pauses?scope=preset:none', { method: 'DELETE' }))).toEqual([
      404,
      'not_found',
    ])
  })

  test('concerns the account, the tenant, the preset with its own tenants, and the target of a job', () => {
    const job = { tenant: 't', account: 'a', preset: 'p', model: 'o/m', deployment: null, version: null }
    expect(pauseScopesOf(job)).toEqual([
      'all',
      'account:a',
      'tenant:t',
      'preset:p',
      'preset:p@t',
      'model:o/m',
      'breaker:model:o/m',
    ])
  })
})

test('a model that fails at Replicate is paused, tried one by one, and used as ever when it works again', async () => {
  await service.simulator.faults({ predictions: { fail: {} } })
  const jobs = await Promise.all(Array.from({ length: 12 }, submit))
  const other = service.client.run({ preset: 'story-page', input: { prompt: 'another model' } }).catch(() => null)
  const held = await waitFor('a job to say that its model fails', async () => {
    const seen = await Promise.all(jobs.map(({ id }) => service.client.get(id)))
    return seen.find(({ waiting_for }) => waiting_for?.detail.startsWith('The model fails at Replicate.'))
  })
  expect(held.waiting_for?.reason).toBe('upstream')
  const failing = await waitFor('the condition', async () => {
    const { conditions } = await service.client.health()
    return conditions.find(({ name }) => name === 'model_failing')
  })
  expect(failing).toMatchObject({ detail: expect.stringContaining(`model:${MODEL}`), stops_creation: false })
  // It is no pause by hand.
  expect(await service.client.pauses()).toEqual([])
  await service.simulator.faults({ predictions: null })
  await other
  const ended = await Promise.all(jobs.map(({ id }) => finished(service, id)))
  // The first ones may have failed three times each; the breaker saved the others.
  expect(ended.filter(({ status }) => status === 'succeeded').length).toBeGreaterThanOrEqual(6)
  await Promise.all(Array.from({ length: 6 }, async () => finished(service, (await submit()).id)))
  await waitFor('the condition to end', async () => {
    const { conditions } = await service.client.health()
    return conditions.every(({ name, detail }) => name !== 'model_failing' || !detail.includes(MODEL))
  })
})

test('the command line does the same on Redis, and every change is recorded with its author', async () => {
  const set = await genqueue(
    'limits',
    'set',
    'preset:portrait',
    '--concurrency',
    '4',
    '--per-tenant',
    'unlimited',
    '--json',
  )
  expect(set).toMatchObject({ exit: 0, stderr: '' })
  expect(JSON.parse(set.stdout)).toMatchObject({ scope: 'preset:portrait', concurrency: 4, per_tenant: null })
  expect((await genqueue('limits', 'list')).stdout).toMatch(/preset:portrait +0 +4 +unlimited/)
  expect(
    (await genqueue('limits', 'set', 'preset:portrait', '--concurrency', 'default', '--per-tenant', 'default')).exit,
  ).toBe(0)
  const paused = await genqueue('pause', 'preset:portrait', '--reason', 'New weights')
  expect(paused.stdout).toMatch(/preset:portrait .*command line.*New weights/)
  expect((await genqueue('pause')).stdout).toContain('New weights')
  expect(await genqueue('resume', 'preset:portrait')).toMatchObject({ exit: 0 })
  expect(await genqueue('resume', 'preset:portrait')).toMatchObject({ exit: 4 })
  expect(await genqueue('pause', 'nothing', '--reason', 'x')).toMatchObject({ exit: 2 })
  expect(await genqueue('limits', 'set', 'tenant:acme', '--weight', 'much')).toMatchObject({ exit: 2 })

  const changes = await service.client.operatorChanges()
  expect(changes.slice(0, 4)).toMatchObject([
    { action: 'resume', scope: 'preset:portrait', by: expect.stringMatching(/^command line, /) },
    { action: 'pause', scope: 'preset:portrait', detail: { reason: 'New weights' } },
    { action: 'limits', scope: 'preset:portrait', detail: { concurrency: null, per_tenant: null } },
    { action: 'limits', scope: 'preset:portrait', detail: { concurrency: 4, per_tenant: 'unlimited' } },
  ])
  expect(changes.some(({ by }) => by === 'development key')).toBe(true)
  expect((await genqueue('limits', 'changes')).stdout.split('\n')[1]).toContain('resume')
})
