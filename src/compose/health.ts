import { createApp } from '../api/app.ts'
import type { ArrivalRules } from '../api/arrival.ts'
import { createAuth } from '../api/auth.ts'
import { healthRoutes } from '../api/routes/health.ts'
import { startServer, type RunningServer } from '../api/server.ts'
import { createThrottle } from '../api/throttle.ts'
import type { Queues } from '../queues/producer.ts'
import { creationCheck } from '../shared/conditions/conditions.ts'
import type { Config } from '../shared/settings/config.ts'
import type { HealthCheck } from '../shared/process/health.ts'
import type { LastSweep } from '../shared/jobs/ports.ts'
import { createMetrics } from '../shared/metrics/metrics.ts'
import { checkRedis, redisSilence } from '../shared/redis/connection.ts'
import { trustedProxies } from '../shared/settings/trusted-proxies.ts'
import { VERSION } from '../shared/process/version.ts'
import type { Core, ServiceOptions } from './core.ts'

export const LOGIN_FAILURES_PER_MINUTE = 10

export const queueCounts = (queues: Queues) => async (): Promise<Record<string, Record<string, number>>> =>
  Object.fromEntries(
    await Promise.all(Object.entries(queues).map(async ([name, queue]) => [name, await queue.getJobCounts()] as const)),
  )

/** Requirements on Redis; throws when it does not respond. */
export const redisFitness =
  ({ redis, keys, sameDeployment }: Core): HealthCheck =>
  async () => {
    const { problems } = await checkRedis(redis, keys.tried)
    if (!(await sameDeployment())) problems.push('Redis holds another deployment, or lost its data')
    const ok = problems.length === 0
    return { ok, detail: ok ? 'responds' : problems.join('; ') }
  }

export const redisCheck = (core: Core): HealthCheck => whileRedisResponds(core, redisFitness(core))

/** A check that needs Redis: it fails with the reason while Redis does not respond. */
export const whileRedisResponds =
  ({ redis }: Pick<Core, 'redis'>, check: HealthCheck): HealthCheck =>
  async () => {
    const silence = await redisSilence(redis)
    return silence === null ? check() : { ok: false, detail: silence }
  }

/** Workers share the sweeps: one in the last minute, in any process, shows that jobs are being taken. */
const workerCheck =
  (store: LastSweep): HealthCheck =>
  async () => {
    const ago = await store.sweptAgo()
    const seconds = ago === null ? null : Math.round(ago / 1000)
    return { ok: seconds !== null && seconds < 60, detail: seconds === null ? 'never swept' : `swept ${seconds} s ago` }
  }

export const arrivalRules = ({ trustProxy, publicUrl }: Config): ArrivalRules => ({
  trusts: trustedProxies(trustProxy),
  publicOrigin: publicUrl === null ? null : new URL(publicUrl).origin,
})

/** Listener of a worker: health and metrics only. */
export async function startHealth(core: Core, options: ServiceOptions): Promise<RunningServer | null> {
  const { config, log } = options
  if (config.healthPort === null) return null
  const metrics = createMetrics({
    store: core.store,
    queueCounts: queueCounts(core.queues),
    accounts: core.accounts.all.map(({ name }) => name),
    conditions: core.conditions,
    notifications: core.notifications,
  })
  const app = createApp({
    routes: healthRoutes({
      version: VERSION,
      checks: {
        redis: redisCheck(core),
        storage: core.storageCheck,
        workers: whileRedisResponds(core, workerCheck(core.store)),
        creation: whileRedisResponds(core, creationCheck(core.conditions.local)),
      },
      metrics,
    }),
    auth: createAuth({
      store: core.tenants,
      devApiKey: null,
      adminPassword: null,
      keys: core.deployment.keys,
      allowedHosts: null,
      publicOrigin: null,
      loginCodes: null,
    }),
    cors: null,
    throttle: createThrottle({ failuresPerMinute: LOGIN_FAILURES_PER_MINUTE }),
    webhooks: null,
    board: null,
    studioDir: null,
    arrival: arrivalRules(config),
    metrics,
    log,
  })
  return startServer(app, { host: config.host, port: config.healthPort, portVariable: 'HEALTH_PORT' })
}
