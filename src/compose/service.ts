import type { Redis } from 'ioredis'
import { startServer } from '../api/server.ts'
import { beginDeployment } from './begin-deployment.ts'
import { buildConditions, buildCore, READY_WITHIN_MS, type ServiceOptions } from './core.ts'
import { startHealth } from './health.ts'
import { storageLook, upstreamLook, watchDeployment, workerLook } from './watch.ts'
import type { Scope } from '../shared/process/scope.ts'
import { isLoopback, localOrigin } from '../shared/settings/config.ts'
import { createJobKeys } from '../shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS } from '../shared/jobs/rules/timings.ts'
import {
  checkRedis,
  closeConnection,
  consumerConnection,
  producerConnection,
  untilReady,
} from '../shared/redis/connection.ts'
import { followKeys } from '../shared/redis/deployment.ts'
import { createGeneration, followGeneration } from '../shared/redis/generation.ts'
import { strictDurability } from '../shared/redis/durability.ts'
import { startWatchdog } from '../workers/watchdog.ts'

/** Composition root: adapters are built in this folder, whose files may import everything. */

export interface Service {
  /** Origin of the api for requests from this machine; null without an api. */
  url: string | null
  /** Single-use sign-in link of this process; null when none was requested. */
  signInUrl: string | null
  healthUrl: string | null
  /** Whether Replicate can reach this service; otherwise jobs finish by polling. */
  webhooks: boolean
  /** Reloads the presets. */
  reload(): Promise<void>
}

/** Builds and starts the parts of the role, and loads no code of the other one, besides the views of jobs that notifications carry. */
export async function startService(options: ServiceOptions, scope: Scope): Promise<Service> {
  const { config, log } = options
  const keys = createJobKeys(config.keyPrefix)
  const producer = producerConnection(options.redisUrl, log)
  scope.defer('redis', () => closeConnection(producer))
  await untilReady(producer, READY_WITHIN_MS)
  const deployment = await beginDeployment(producer, keys.deployment, config, log)
  scope.defer('keys', followKeys(deployment, log))

  const conditions = buildConditions(producer, keys, log)
  scope.defer('conditions', conditions.stop)
  const { ok, problems } = await checkRedis(producer, keys.tried)
  conditions.set('redis_unfit', ok ? null : problems.join('; '))

  const durability = async (redis: Redis): Promise<() => Promise<void>> =>
    config.durability === 'strict' ? strictDurability(redis, keys.tried) : () => Promise.resolve()

  const timings = { ...DEFAULT_TIMINGS, ...options.timings }
  const generation = createGeneration(producer, keys.generation, { gap: timings.unattended })
  await generation.look()
  if (!generation.showsReplication())
    log.warn(
      'Redis does not show its replication id (INFO replication), so only processes that saw its successor recognise a ' +
        'former primary that returns. Allow INFO for this user.',
    )
  if (config.role === 'api') scope.defer('generation', followGeneration(generation, timings.workerBeat, log))

  let publicUrl = config.publicUrl
  const shared = { keys, deployment, generation, conditions, publicUrl: () => publicUrl }
  let url: string | null = null
  let healthUrl: string | null = null
  let signInUrl: string | null = null
  let reload = (): Promise<void> => Promise.resolve()

  if (config.role !== 'worker') {
    const core = await buildCore(producer, { ...shared, confirmDurable: await durability(producer) }, options, scope)
    const { buildApi } = await import('./api.ts')
    const api = await buildApi(core, options, scope)
    reload = api.reload
    const ofWorkers = config.role === 'api' ? [workerLook(core)] : [storageLook(core)]
    scope.defer('watch', watchDeployment(core, [upstreamLook(core), ...ofWorkers, ...api.looks], log))
    const server = await startServer(api.app, { host: config.host, port: config.port, portVariable: 'PORT' })
    scope.defer('server', () => server.stop(2000))
    url = localOrigin(config.host, server.port)
    signInUrl = api.signInUrl(url)
    // Only the simulator of this process is known to reach the listener. Another upstream on this machine can be a proxy
    // to Replicate, which needs PUBLIC_URL.
    if (publicUrl === null && options.simulator && isLoopback(config.host)) publicUrl = url
  }
  if (config.role !== 'api') {
    const own = scope.named('worker')
    const redis = consumerConnection(options.redisUrl, 'workers', log)
    own.defer('redis', () => closeConnection(redis))
    await untilReady(redis, READY_WITHIN_MS)
    const core = await buildCore(redis, { ...shared, confirmDurable: await durability(redis) }, options, own)
    const { buildWorkers } = await import('./workers.ts')
    const workers = await buildWorkers(core, options, own)
    const stopWatchdog = startWatchdog({
      store: core.store,
      neglected: workers.neglected,
      restoreSweep: workers.restoreSweep,
      sameDeployment: core.sameDeployment,
      silence: core.timings.sweepSilence,
      log,
      onSilence: options.onWedged ?? (() => undefined),
    })
    own.defer('watchdog', stopWatchdog)
    if (config.role === 'worker')
      own.defer('watch', watchDeployment(core, [upstreamLook(core), storageLook(core)], log))
    const health = await startHealth(core, options)
    if (health) {
      own.defer('health', () => health.stop(1000))
      healthUrl = localOrigin(config.host, health.port)
    }
  }
  return { url, signInUrl, healthUrl, webhooks: publicUrl !== null, reload }
}
