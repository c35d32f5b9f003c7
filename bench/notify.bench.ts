import { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { afterAll, expect, test } from 'vitest'
import { createJobKeys } from '../src/shared/jobs/record/job-keys.ts'
import { createHttpTransport } from '../src/shared/notifications/http-transport.ts'
import { createRedisEndpointStore } from '../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../src/shared/notifications/redis-notification-store.ts'
import type { Endpoint } from '../src/shared/notifications/rules/endpoint.ts'
import { LOOPBACK_WEBHOOKS } from '../src/shared/notifications/rules/webhook-url.ts'
import { createLogger } from '../src/shared/process/logger.ts'
import { createRedisSigningSecrets } from '../src/shared/tenants/redis-signing-secrets.ts'
import { makeSecret } from '../src/shared/tenants/rules/signing-secret.ts'
import { createTenantKeys } from '../src/shared/tenants/tenant-keys.ts'
import { createSender } from '../src/workers/send-notifications.ts'
import { hang, startReceiver } from '../test/support/receiver.ts'
import { freshPrefix, testRedisUrl } from '../test/support/redis.ts'
import { waitFor } from '../test/support/wait-for.ts'
import { percentile } from './support/percentiles.ts'

/**
 * Notifications that the dispatcher of one worker sends in a second, and what a hundred dead receivers beside it cost a good one:
 * from the moment at which its notification is added until the request arrives. Sender and receivers are in this process.
 */

const NOTIFICATIONS = 3000
const ENDPOINTS = 20
const DEAD = 100
const BESIDE = 300

const redis = new Redis(testRedisUrl())
const keys = createJobKeys(freshPrefix())
const endpoints = createRedisEndpointStore({ redis, keys })
const store = createRedisNotificationStore({ redis, keys, endpoints })
const transport = createHttpTransport({
  allow: LOOPBACK_WEBHOOKS,
  version: 'bench',
  timeout: 15_000,
  connectTimeout: 15_000,
})
const sender = createSender({
  store,
  endpoints,
  notices: { owe: () => Promise.resolve(false) },
  secrets: createRedisSigningSecrets(redis, createTenantKeys(keys.tag)),
  transports: [transport],
  bodyOf: ({ type, data }) => Promise.resolve(JSON.stringify({ type, data })),
  timings: { notifyLease: 60_000, notifyFirstRetry: 5000 },
  log: createLogger({ level: 'silent', readable: false }),
})
afterAll(async () => {
  await transport.close()
  await sender.stop()
  redis.disconnect()
})

async function addEndpoint(to: string): Promise<Endpoint> {
  const endpoint: Endpoint = {
    v: 1,
    id: `ep_${ulid()}`,
    tenant: 'bench',
    kind: 'webhook',
    to,
    description: '',
    events: ['job.succeeded'],
    presets: null,
    payload: 'thin',
    secrets: { current: { key: makeSecret(), created_at: 0 }, previous: [] },
    confirmed_at: null,
    created_at: 0,
    disabled: null,
  }
  await endpoints.create(endpoint, 1000)
  return endpoint
}

async function add({ id, tenant }: Endpoint): Promise<string> {
  const notification = `ntf_${ulid()}_${id.slice(3)}`
  await store.add({
    id: notification,
    tenant,
    type: 'job.succeeded',
    endpoint: id,
    destination: id,
    url: null,
    shape: 'thin',
    job: null,
    batch: null,
    data: { job: { id: 'job_0', status: 'succeeded', rev: 7, batch: null, metadata: {}, error: null } },
    created_at: Date.now(),
    state: 'pending',
  })
  return notification
}

const delivered = async (): Promise<number> => (await store.figures()).sent.delivered

test('notifications of one worker', async () => {
  const receiver = await startReceiver()
  const all = await Promise.all(Array.from({ length: ENDPOINTS }, () => addEndpoint(receiver.url)))
  // A first success allows eight attempts at the same time.
  await Promise.all(all.map(add))
  sender.wake()
  await waitFor('the first ones', async () => (await delivered()) === ENDPOINTS)
  for (let n = 0; n < NOTIFICATIONS; n += ENDPOINTS) await Promise.all(all.map(add))
  const began = performance.now()
  sender.wake()
  await waitFor('all of them', () => receiver.received.length >= ENDPOINTS + NOTIFICATIONS, { interval: 20 })
  const seconds = (performance.now() - began) / 1000
  process.stdout.write(`${Math.round(NOTIFICATIONS / seconds)} notifications/s to ${ENDPOINTS} endpoints\n`)
  expect(new Set(receiver.ids()).size).toBe(ENDPOINTS + NOTIFICATIONS)
})

test('a good endpoint beside a hundred dead ones', async () => {
  const dead = await startReceiver(hang)
  for (let n = 0; n < DEAD; n++) {
    const endpoint = await addEndpoint(dead.url)
    for (let i = 0; i < 5; i++) await add(endpoint)
  }
  const arrived = new Map<string, number>()
  const good = await startReceiver((response, request) => {
    arrived.set(String(request.headers['webhook-id']), performance.now())
    response.writeHead(204).end()
  })
  const endpoint = await addEndpoint(good.url)
  sender.wake()
  await dead.count(DEAD)
  const waits: number[] = []
  for (let n = 0; n < BESIDE; n++) {
    const began = performance.now()
    const id = await add(endpoint)
    sender.wake()
    const at = await waitFor('the request', () => arrived.get(id), { interval: 1 })
    waits.push(at - began)
  }
  process.stdout.write(
    `beside ${DEAD} dead endpoints: p50 ${percentile(waits, 0.5).toFixed(1)} ms, p99 ${percentile(waits, 0.99).toFixed(1)} ms (goal: p99 below 1000)\n`,
  )
  expect(waits).toHaveLength(BESIDE)
})
