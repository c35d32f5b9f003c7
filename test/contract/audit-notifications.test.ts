import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import type { EndpointStore, NotificationStore } from '../../src/shared/notifications/ports.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import type { Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import { createRedisAuditSource } from '../../src/shared/audit/redis-audit-source.ts'
import { auditReport } from '../support/audit.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const OWN = 'acme http://127.0.0.1:8080'
let keys: JobKeys
let endpoints: EndpointStore
let notifications: NotificationStore
beforeEach(() => {
  keys = createJobKeys(freshPrefix())
  endpoints = createRedisEndpointStore({ redis, keys })
  notifications = createRedisNotificationStore({ redis, keys, endpoints })
})

const audit = (repair = false) => auditReport({ redis, keys, repair })
const names = (findings: { invariant: string; id: string }[]): string[] =>
  findings.map(({ invariant, id }) => `${invariant} ${id}`).sort()

async function addEndpoint(events: Endpoint['events'], tenant = 'acme'): Promise<Endpoint> {
  const endpoint: Endpoint = {
    v: 1,
    id: `ep_${ulid()}`,
    tenant,
    kind: 'webhook',
    to: 'https://acme.example/hook',
    description: '',
    events,
    presets: null,
    payload: 'thin',
    secrets: null,
    confirmed_at: null,
    created_at: 1,
    disabled: null,
  }
  await endpoints.create(endpoint, 10)
  return endpoint
}
async function addNotification(endpoint: string | null, destination: string): Promise<void> {
  await notifications.add({
    id: `ntf_${ulid()}_x`,
    tenant: 'acme',
    type: 'job.succeeded',
    endpoint,
    destination,
    url: null,
    shape: 'thin',
    job: null,
    batch: null,
    data: {},
    created_at: Date.now(),
    state: 'pending',
  })
}

describe('who hears of events', () => {
  test('is recounted, and repaired', async () => {
    await addEndpoint(['job.succeeded', 'job.failed'])
    await addEndpoint(['job.succeeded'])
    await addEndpoint(['job.started'], 'other')
    await endpoints.remove('acme', (await addEndpoint(['credits.low'])).id)
    expect((await audit()).findings).toEqual([])
    const right = await redis.hgetall(keys.subscribed('acme'))

    await redis.hset(keys.subscribed('acme'), 'job.succeeded', '1', 'credits.low', '0', 'job.canceled', '-1')
    await redis.hdel(keys.subscribed('acme'), 'job.failed')
    await redis.del(keys.subscribed('other'))
    await redis.hset(keys.subscribed('gone'), 'job.failed', '1')
    const expected = ['acme', 'gone', 'other'].map((tenant) => `subscribed_counted ${tenant}`)
    const { findings } = await audit()
    expect(names(findings)).toEqual(expected)
    expect(findings.find(({ id }) => id === 'acme')?.detail).toBe(
      'credits.low: the count says 0, the endpoints say 0; job.canceled: the count says -1, the endpoints say 0; ' +
        'job.failed: the count says 0, the endpoints say 1; job.succeeded: the count says 1, the endpoints say 2',
    )
    const report = await audit(true)
    expect([names(report.repaired), report.findings]).toEqual([expected, []])
    expect(await redis.hgetall(keys.subscribed('acme'))).toEqual(right)
    expect(await redis.hgetall(keys.subscribed('other'))).toEqual({ 'job.started': '1' })
    expect(await redis.exists(keys.subscribed('gone'))).toBe(0)
  })

  test('is not repaired when an endpoint was created meanwhile', async () => {
    await addEndpoint(['job.succeeded'])
    await redis.hset(keys.subscribed('acme'), 'job.succeeded', '7')
    const source = createRedisAuditSource({ redis, keys })
    const { seen } = await source.subscribers('acme')
    await addEndpoint(['job.succeeded'])
    const fix = [['hset', keys.subscribed('acme'), 'job.succeeded', '1'] satisfies [string, ...string[]]]
    const guard = { subscribers: 'acme', seen }
    const problem = { invariant: 'subscribed_counted', id: 'acme', detail: '', repairable: true, fix, guard } as const
    expect(await source.repair(problem)).toBe(false)
    expect(await redis.hget(keys.subscribed('acme'), 'job.succeeded')).toBe('8')
  })

  test('is not judged where an endpoint cannot be read', async () => {
    const { id } = await addEndpoint(['job.succeeded'])
    await redis.hset(keys.endpoints('acme'), id, '{"v":2,"events":{}}')
    await addEndpoint(['job.failed'], 'other')
    await redis.hset(keys.endpoints('other'), 'ep_damaged', '{"v":1,')
    const { findings } = await audit(true)
    expect(names(findings)).toEqual(['record_readable ep_damaged'])
  })
})

test('a destination that is in no order is found, and served again', async () => {
  const { id } = await addEndpoint(['job.succeeded'])
  await addNotification(id, id)
  await addNotification(null, OWN)
  expect((await audit()).findings).toEqual([])
  await redis.del(keys.destinations)
  expect(await notifications.claimDestinations(10, 1000)).toEqual([])
  const expected = [`due ${OWN}`, `due ${id}`]
  expect(names((await audit()).findings)).toEqual(expected)
  expect(names((await audit(true)).repaired)).toEqual(expected)
  const claimed = await notifications.claimDestinations(10, 1000)
  expect(claimed.map(({ destination }) => destination).sort()).toEqual([OWN, id])
})
