import { Redis } from 'ioredis'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { OwnKeep } from '../../src/shared/jobs/rules/keep.ts'
import { keyDigest, makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import type { Caller, TenantStore } from '../../src/shared/tenants/ports.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantKeys, type TenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import type { ApiKey, OwnLimits } from '../../src/shared/tenants/rules/tenant.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const DEFAULTS = { requests_per_minute: 60, queued_jobs: 7 }
const NO_LIMITS = { requests_per_minute: null, queued_jobs: null }
const TENANT: Caller = { by: 'tenant', tenant: 'default' }
const NOBODY = { status: 'unknown' }

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

let keys: TenantKeys
let store: TenantStore
beforeEach(() => {
  keys = createTenantKeys(`{${freshPrefix()}}`)
  store = createRedisTenantStore({ redis, keys, defaults: DEFAULTS, deployment: null })
})

async function tenant(id: string, limits: Partial<OwnLimits> = {}, keep: OwnKeep = {}): Promise<boolean> {
  const { requests_per_minute = null, queued_jobs = null } = limits
  return store.createTenant({
    id,
    title: id,
    created_at: await store.now(),
    suspended_at: null,
    limits: { requests_per_minute, queued_jobs },
    mail_to_metadata: false,
    cors_origins: null,
    keep,
  })
}

async function apiKey(change: Partial<ApiKey> = {}): Promise<{ record: ApiKey; caller: Caller & { by: 'key' } }> {
  const { id, key } = makeKey()
  const record: ApiKey = {
    id,
    tenant: 'acme',
    title: 'a key',
    scopes: ['jobs:write', 'jobs:read'],
    created_at: await store.now(),
    expires_at: null,
    retires_at: null,
    revoked_at: null,
    last_used_at: null,
    replaced_by: null,
    ...change,
  }
  await store.createKey(record, { digest: keyDigest(key), request: '' })
  return { record, caller: { by: 'key', key: id, digest: keyDigest(key) } }
}

describe('a key', () => {
  test('lets in with its tenant, its scopes and the limits that hold', async () => {
    await tenant('acme', { queued_jobs: 3 })
    const { caller } = await apiKey()
    expect(await store.admit(caller, { to: 'tenant' })).toEqual({
      status: 'admitted',
      tenant: 'acme',
      scopes: ['jobs:write', 'jobs:read'],
      limits: { requests_per_minute: 60, queued_jobs: 3 },
      keep: {},
      rate: { of: 'tenant', perMinute: 60, free: 9, wholeInMs: 1000 },
    })
  })

  test('says how long jobs of its tenant are kept, where the tenant sets its own values', async () => {
    await tenant('acme', {}, { payload: 3600, files: Infinity })
    const { caller } = await apiKey()
    const admission = await store.admit(caller, null)
    expect(admission).toMatchObject({ keep: { payload: 3600, files: Infinity } })
    expect((await store.tenant('acme'))?.keep).toEqual({ payload: 3600, files: Infinity })
    await store.changeTenant('acme', { keep: { payload: null, job: 7200 } })
    expect(await store.admit(caller, null)).toMatchObject({ keep: { job: 7200, files: Infinity } })
    expect((await store.tenant('acme'))?.keep).toEqual({ job: 7200, files: Infinity })
  })

  test('that does not exist, or has another secret, is rejected and takes nothing', async () => {
    await tenant('acme')
    const { caller, record } = await apiKey()
    const digest = keyDigest('another')
    expect(await store.admit({ ...caller, digest }, { to: 'tenant' })).toEqual(NOBODY)
    expect(await store.admit({ by: 'key', key: 'nobody', digest }, { to: 'tenant' })).toEqual(NOBODY)
    expect(await store.admit({ by: 'key', key: 'nobody', digest: '0'.repeat(64) }, { to: 'tenant' })).toEqual(NOBODY)
    expect(await store.admit({ by: 'holder', key: 'nobody' }, { to: 'tenant' })).toEqual(NOBODY)
    expect(await redis.exists(keys.requests)).toBe(0)
    expect((await store.key(record.id))?.last_used_at).toBeNull()
  })

  test('of a tenant that does not exist is rejected', async () => {
    const { caller } = await apiKey({ tenant: 'nobody' })
    expect(await store.admit(caller, { to: 'tenant' })).toEqual(NOBODY)
  })

  test.each([
    ['expired', { expires_at: 1 }],
    ['expired', { retires_at: 1 }],
    ['revoked', { revoked_at: 1 }],
  ] as const)('that is %s says so only to a caller with its secret', async (status, change) => {
    await tenant('acme')
    const { caller, record } = await apiKey(change)
    expect(await store.admit(caller, { to: 'tenant' })).toEqual({ status })
    expect(await store.admit({ by: 'holder', key: record.id }, null)).toEqual({ status })
    expect(await store.admit({ ...caller, digest: keyDigest('x') }, { to: 'tenant' })).toEqual(NOBODY)
  })

  test('of a suspended tenant is refused until the tenant is let in again', async () => {
    await tenant('acme')
    const { caller } = await apiKey()
    await store.changeTenant('acme', { suspended: true })
    const since = (await store.tenant('acme'))?.suspended_at
    expect(await store.admit(caller, { to: 'tenant' })).toEqual({ status: 'suspended' })
    await store.changeTenant('acme', { suspended: true })
    expect((await store.tenant('acme'))?.suspended_at).toBe(since)
    await store.changeTenant('acme', { suspended: false })
    expect(await store.admit(caller, { to: 'tenant' })).toMatchObject({ status: 'admitted' })
  })

  test('notes its use once a minute', async () => {
    await tenant('acme')
    const { caller, record } = await apiKey()
    await store.admit(caller, null)
    const first = (await store.key(record.id))?.last_used_at ?? 0
    expect(first).toBeGreaterThanOrEqual(record.created_at)
    await redis.hset(keys.apiKey(record.id), 'last_used_at', String(first - 50_000))
    await store.admit(caller, null)
    expect((await store.key(record.id))?.last_used_at).toBe(first - 50_000)
    await redis.hset(keys.apiKey(record.id), 'last_used_at', String(first - 60_000))
    await store.admit(caller, null)
    expect((await store.key(record.id))?.last_used_at).toBeGreaterThanOrEqual(first)
  })

  test('is kept without anything that opens', async () => {
    await tenant('acme')
    const { id, key } = makeKey()
    const { record } = await apiKey()
    await store.createKey({ ...record, id }, { digest: keyDigest(key), request: '' })
    expect(JSON.stringify(await redis.hgetall(keys.apiKey(id)))).not.toContain(key.slice(16, -6))
  })

  test('that was replaced ends when its grace does, and names its successor', async () => {
    await tenant('acme')
    const { caller, record } = await apiKey()
    const next = makeKey()
    const now = await store.now()
    await store.replaceKey(
      record.id,
      now + 60_000,
      { ...record, id: next.id },
      { digest: keyDigest(next.key), request: '' },
    )
    expect(await store.admit(caller, null)).toMatchObject({ status: 'admitted' })
    expect(await store.key(record.id)).toMatchObject({ retires_at: now + 60_000, replaced_by: next.id })
    await redis.hset(keys.apiKey(record.id), 'retires_at', String(now - 1))
    expect(await store.admit(caller, null)).toEqual({ status: 'expired' })
    expect(await store.admit({ by: 'key', key: next.id, digest: keyDigest(next.key) }, null)).toMatchObject({
      status: 'admitted',
    })
  })

  test('stays revoked since it was revoked first', async () => {
    await tenant('acme')
    const { record } = await apiKey()
    await store.revokeKey(record.id)
    const at = (await store.key(record.id))?.revoked_at
    expect(at).toBeGreaterThanOrEqual(record.created_at)
    await store.revokeKey(record.id)
    expect((await store.key(record.id))?.revoked_at).toBe(at)
  })
})

describe('requests per minute', () => {
  const admitted = async (times: number, of: Caller = TENANT): Promise<number> => {
    const answers = await Promise.all(Array.from({ length: times }, () => store.admit(of, { to: 'tenant' })))
    return answers.filter(({ status }) => status === 'admitted').length
  }

  test('ten seconds of them may come at once, then one by one', async () => {
    // 60 a minute: ten at once, and at most one more a second.
    const begun = performance.now()
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.admit(TENANT, { to: 'tenant' })))
    const seconds = (performance.now() - begun) / 1000
    const refusals = answers.filter((answer) => answer.status === 'limited')
    expect(50 - refusals.length).toBeGreaterThanOrEqual(10)
    expect(50 - refusals.length).toBeLessThanOrEqual(10 + Math.ceil(seconds))
    for (const { rate, waitMs } of refusals) {
      expect(rate).toMatchObject({ of: 'tenant', perMinute: 60, free: 0 })
      expect(waitMs).toBeLessThanOrEqual(1000)
      expect(waitMs).toBeGreaterThan(0)
    }
  })

  test('are of each tenant, and of the limit that it has now', async () => {
    await tenant('slow', { requests_per_minute: 1 })
    const slow: Caller = { by: 'tenant', tenant: 'slow' }
    expect(await admitted(5, slow)).toBe(1)
    expect(await admitted(5)).toBe(5)
    await store.changeTenant('slow', { limits: { requests_per_minute: 100_000 } })
    await redis.hdel(keys.requests, 'slow')
    expect(await admitted(100, slow)).toBe(100)
    await store.changeTenant('slow', { limits: { requests_per_minute: null } })
    await redis.hdel(keys.requests, 'slow')
    expect(await admitted(9, slow)).toBe(9)
  })

  test('that a token may make are the tenant’s too, and their own budget is forgotten', async () => {
    const charge = { to: 'token', subject: 'job_1', perMinute: 1 } as const
    const answers = [await store.admit(TENANT, charge), await store.admit(TENANT, charge)]
    expect(answers).toMatchObject([
      { status: 'admitted' },
      { status: 'limited', rate: { perMinute: 1, of: 'token', free: 0 } },
    ])
    expect(await redis.exists(keys.requests)).toBe(1)
    expect(await redis.pttl(keys.tokenRequests('job_1'))).toBeGreaterThan(0)
    expect(await store.admit(TENANT, { ...charge, subject: 'job_2' })).toMatchObject({ status: 'admitted' })
    // Many jobs have many tokens: together they have no more than their tenant.
    await tenant('watched', { requests_per_minute: 1 })
    const tokens = (n: number) =>
      store.admit({ by: 'tenant', tenant: 'watched' }, { to: 'token', subject: `job_w${n}`, perMinute: 6000 })
    expect(await tokens(1)).toMatchObject({ status: 'admitted', limits: { requests_per_minute: 1 } })
    expect(await tokens(2)).toMatchObject({ status: 'limited', rate: { perMinute: 1, of: 'tenant' } })
    // What one budget refuses is not taken from the other.
    expect(await redis.exists(keys.tokenRequests('job_w2'))).toBe(0)
  })

  test('a clock of Redis that is set back by ten minutes costs no more than the burst', async () => {
    await redis.hset(keys.requests, 'default', (Date.now() + 600_000) * 1000)
    const both = [store.admit(TENANT, { to: 'tenant' }), store.admit(TENANT, { to: 'tenant' })] as const
    const [passed, refused] = await Promise.all(both)
    expect(passed).toMatchObject({ status: 'admitted' })
    // 60 a minute: one more second.
    expect(refused.status === 'limited' ? refused.waitMs : -1).toBeGreaterThan(0)
    expect(refused.status === 'limited' ? refused.waitMs : -1).toBeLessThanOrEqual(1000)
  })

  test('are not taken by a look', async () => {
    for (let i = 0; i < 20; i++) expect(await store.admit(TENANT, null)).toMatchObject({ status: 'admitted' })
    expect(await redis.exists(keys.requests)).toBe(0)
  })
})

describe('tenants', () => {
  test('are made once, and changed field by field', async () => {
    expect(await tenant('acme', { queued_jobs: 5 })).toBe(true)
    expect(await tenant('acme', { queued_jobs: 9 })).toBe(false)
    expect(await store.tenant('acme')).toMatchObject({ id: 'acme', limits: { ...NO_LIMITS, queued_jobs: 5 } })
    await store.changeTenant('acme', { title: 'Acme', limits: { requests_per_minute: 3 } })
    await store.changeTenant('acme', {})
    expect(await store.tenant('acme')).toMatchObject({
      title: 'Acme',
      suspended_at: null,
      limits: { requests_per_minute: 3, queued_jobs: 5 },
    })
    expect(await store.tenant('nobody')).toBeNull()
  })

  test('one is there before anybody made it', async () => {
    expect(await store.admit(TENANT, { to: 'tenant' })).toMatchObject({ status: 'admitted', tenant: 'default' })
    expect(await store.tenants({ limit: 10 })).toMatchObject([{ id: 'default', limits: NO_LIMITS }])
    expect(await store.tenant('default')).toMatchObject({ id: 'default' })
  })

  test('are listed by id, their keys newest first, in pages', async () => {
    for (const id of ['b', 'c', 'a']) await tenant(id)
    expect((await store.tenants({ limit: 2 })).map(({ id }) => id)).toEqual(['a', 'b'])
    expect((await store.tenants({ limit: 5, after: 'b' })).map(({ id }) => id)).toEqual(['c', 'default'])
    const made: string[] = []
    for (let i = 0; i < 4; i++) made.push((await apiKey({ tenant: 'a', created_at: 1000 + i })).record.id)
    const [first, second, third, fourth] = made.toReversed()
    expect((await store.keys('a', { limit: 2 })).map(({ id }) => id)).toEqual([first, second])
    expect((await store.keys('a', { limit: 5, after: second ?? '' })).map(({ id }) => id)).toEqual([third, fourth])
    expect(await store.keys('b', { limit: 5 })).toEqual([])
  })
})
