import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { NewerRecordError } from '../../src/shared/jobs/record/record-codec.ts'
import type { EndpointStore } from '../../src/shared/notifications/ports.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { ENDPOINT_ID, type Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

let keys: JobKeys
let store: EndpointStore
beforeEach(() => {
  keys = createJobKeys(freshPrefix())
  store = createRedisEndpointStore({ redis, keys })
})

const endpoint = (change: Partial<Endpoint> = {}): Endpoint => ({
  v: 1,
  id: `ep_${ulid()}`,
  tenant: 'acme',
  kind: 'webhook',
  to: 'https://acme.example/hook',
  description: '',
  events: ['job.succeeded', 'job.failed'],
  presets: null,
  payload: 'thin',
  secrets: { current: { key: makeSecret(), created_at: 1 }, previous: [] },
  confirmed_at: null,
  created_at: 1,
  disabled: null,
  ...change,
})
const subscribed = async (tenant = 'acme'): Promise<Record<string, string>> => redis.hgetall(keys.subscribed(tenant))

test('an endpoint is read as it was written, by its tenant only', async () => {
  const full = endpoint({
    presets: ['cover'],
    payload: 'full',
    secrets: {
      current: { key: 'whsec_bmV3', created_at: 5 },
      previous: [{ key: 'whsec_b2xk', created_at: 1, expires_at: 9 }],
    },
    disabled: { at: 7, reason: 'gone' },
  })
  const mail = endpoint({ kind: 'email', to: '{metadata.email}', secrets: null, confirmed_at: 3 })
  expect(full.id).toMatch(ENDPOINT_ID)
  for (const each of [full, mail]) {
    expect(await store.create(each, 10)).toBe(true)
    expect(await store.read('acme', each.id)).toEqual(each)
    expect(await store.read('other', each.id)).toBeNull()
  }
  expect(await store.list('other')).toEqual([])
  expect(await store.change('other', full.id, (same) => same)).toBeNull()
  expect(await store.remove('other', full.id)).toBe(false)
})

test('a list has the oldest first', async () => {
  const ids = Array.from({ length: 5 }, (_, i) => `ep_${ulid(1_000_000 + i)}`)
  for (const id of ids.toReversed()) await store.create(endpoint({ id }), 10)
  expect((await store.list('acme')).map(({ id }) => id)).toEqual(ids)
})

test('counts by type follow each write; a disabled endpoint counts, because its events are kept', async () => {
  const first = endpoint()
  const second = endpoint({ events: ['job.succeeded', 'credits.low', 'credits.low'] })
  await store.create(first, 10)
  await store.create(second, 10)
  expect(await subscribed()).toEqual({ 'job.succeeded': '2', 'job.failed': '1', 'credits.low': '1' })
  await store.change('acme', first.id, (was) => ({ ...was, disabled: { at: 3, reason: 'owner' } }))
  expect(await subscribed()).toEqual({ 'job.succeeded': '2', 'job.failed': '1', 'credits.low': '1' })
  await store.change('acme', second.id, (was) => ({ ...was, events: ['batch.finished'] }))
  expect(await subscribed()).toEqual({ 'job.succeeded': '1', 'job.failed': '1', 'batch.finished': '1' })
  expect(await store.remove('acme', first.id)).toBe(true)
  expect(await store.remove('acme', first.id)).toBe(false)
  expect(await subscribed()).toEqual({ 'batch.finished': '1' })
  await store.remove('acme', second.id)
  expect(await subscribed()).toEqual({})
  expect(await subscribed('other')).toEqual({})
})

test('a create that is sent again counts once, also when there are the most already', async () => {
  const same = endpoint()
  expect(await store.create(same, 1)).toBe(true)
  expect(await store.create(same, 1)).toBe(true)
  expect(await store.create(endpoint(), 1)).toBe(false)
  expect(await subscribed()).toEqual({ 'job.succeeded': '1', 'job.failed': '1' })
  await expect(store.create({ ...same, description: 'another' }, 10)).rejects.toThrow('exists')
})

test('simultaneous changes are all applied, and counted once', async () => {
  const { id } = endpoint()
  await store.create(endpoint({ id, events: [] }), 10)
  const types = ['job.started', 'job.succeeded', 'job.failed', 'job.canceled', 'batch.finished'] as const
  await Promise.all(
    types.map(async (type) => store.change('acme', id, (was) => ({ ...was, events: [...was.events, type] }))),
  )
  expect((await store.read('acme', id))?.events.toSorted()).toEqual(types.toSorted())
  expect(await subscribed()).toEqual(Object.fromEntries(types.map((type) => [type, '1'])))
})

test('the record of a newer release is not touched', async () => {
  const { id } = endpoint()
  const newer = JSON.stringify({ v: 2, id })
  await redis.hset(keys.endpoints('acme'), id, newer)
  for (const use of [
    async () => store.read('acme', id),
    async () => store.list('acme'),
    async () => store.change('acme', id, (same) => same),
    async () => store.remove('acme', id),
  ])
    await expect(use()).rejects.toThrow(NewerRecordError)
  expect(await redis.hget(keys.endpoints('acme'), id)).toBe(newer)
})
