import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/api/app.ts'
import { createAuth } from '../../src/api/auth.ts'
import { startServer } from '../../src/api/server.ts'
import { createThrottle } from '../../src/api/throttle.ts'
import { createUntilFinal } from '../../src/api/until-final.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createMetrics } from '../../src/shared/metrics/metrics.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { noConditions } from '../support/no-conditions.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { waitFor } from '../support/wait-for.ts'
import { noNotifications } from '../support/no-notifications.ts'

const ENDLESS_S = 3600

let scene: JobScene
beforeAll(async () => {
  scene = await jobScene()
})

/** Publishes changes as the hub does, and counts the listeners. */
function waiter() {
  const listeners = new Set<() => void>()
  const hub = {
    onJob: (_id: string, listener: () => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  return { listeners, untilFinal: createUntilFinal({ store: scene.store, hub }) }
}

test('a waiter is released when its job ends, and stops listening', async () => {
  const { listeners, untilFinal } = waiter()
  const id = await scene.accepted()
  const waiting = untilFinal(id, ENDLESS_S, new AbortController().signal)
  expect(listeners.size).toBe(1)
  for (const notify of listeners) notify()
  await scene.happen(id, { type: 'cancel' })
  for (const notify of listeners) notify()
  expect((await waiting)?.phase).toBe('canceled')
  expect(listeners.size).toBe(0)
})

test('a waiter that has left is dropped', async () => {
  const { listeners, untilFinal } = waiter()
  const id = await scene.accepted()
  const gone = new AbortController()
  // A wait that goes on outlasts the test.
  const waiting = untilFinal(id, ENDLESS_S, gone.signal)
  gone.abort()
  expect((await waiting)?.phase).toBe('queued')
  expect(listeners.size).toBe(0)
  // Also when that was before the wait began.
  expect((await untilFinal(id, ENDLESS_S, gone.signal))?.phase).toBe('queued')
  expect(listeners.size).toBe(0)
})

test('a job that does not exist is not waited for', async () => {
  const { listeners, untilFinal } = waiter()
  expect(await untilFinal(`job_${'0'.repeat(26)}`, ENDLESS_S, new AbortController().signal)).toBeNull()
  expect(listeners.size).toBe(0)
})

test('a request knows when the one who asked has left', async () => {
  const left: string[] = []
  const leaves = new AbortController()
  const defaults = { requests_per_minute: 1000, queued_jobs: 10 }
  const tenants = createRedisTenantStore({
    redis: scene.redis,
    keys: createTenantKeys(scene.keys.tag),
    defaults,
    deployment: null,
  })
  const app = createApp({
    routes: [
      {
        method: 'GET',
        path: '/hang',
        scope: null,
        handle: ({ gone }) =>
          new Promise((resolve) => {
            gone().addEventListener('abort', () => {
              left.push('hang')
              resolve({ status: 204 })
            })
            leaves.abort()
          }),
      },
    ],
    cors: null,
    auth: createAuth({
      store: tenants,
      devApiKey: null,
      adminPassword: null,
      keys: oneKey(randomBytes(32)),
      allowedHosts: null,
      publicOrigin: null,
      loginCodes: null,
    }),
    throttle: createThrottle({ failuresPerMinute: 10 }),
    webhooks: null,
    board: null,
    studioDir: null,
    arrival: { trusts: () => false, publicOrigin: null },
    metrics: createMetrics({
      store: scene.store,
      queueCounts: () => Promise.resolve({}),
      accounts: ['default'],
      conditions: noConditions,
      notifications: noNotifications,
    }),
    log: createLogger({ level: 'silent', readable: false }),
  })
  const server = await startServer(app, { host: '127.0.0.1', port: 0, portVariable: 'PORT' })
  const asked = fetch(`http://127.0.0.1:${server.port}/hang`, { signal: leaves.signal })
  await expect(asked).rejects.toThrow()
  await waitFor('the request to know', () => left.length > 0)
  await server.stop(1000)
})
