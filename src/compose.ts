import type { Redis } from 'ioredis'
import { startServer } from './api/server.ts'
import { beginDeployment } from './compose/begin-deployment.ts'
import { buildConditions, buildCore, READY_WITHIN_MS, type ServiceOptions } from './compose/core.ts'
import { startHealth } from './compose/health.ts'
import { storageLook, upstreamLook, watchDeployment, workerLook } from './compose/watch.ts'
import { closeQueues } from './queues/producer.ts'
import { isLoopback, localOrigin } from './shared/settings/config.ts'
import { createJobKeys } from './shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS } from './shared/jobs/rules/timings.ts'
import {
  checkRedis,
  closeConnection,
  consumerConnection,
  producerConnection,
  untilReady,
} from './shared/redis/connection.ts'
import { followKeys } from './shared/redis/deployment.ts'
import { createGeneration, followGeneration } from './shared/redis/generation.ts'
import { strictDurability } from './shared/redis/durability.ts'
import { startWatchdog } from './workers/watchdog.ts'

/** Composition root: adapters are built here, in compose/ and in local-parts.ts, which may import everything. */

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
  stop(): Promise<void>
}

/**
 * Builds and starts the parts of the role, and loads no code of the other one. All started parts are stopped in reverse
 * order, also when a later part fails.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { config, log } = options
  const stops: { name: string; stop: () => Promise<unknown> }[] = []
  const stop = async (): Promise<void> => {
    for (const { name, stop: stopPart } of stops.splice(0).toReversed())
      await stopPart().catch((error: unknown) => log.warn({ err: error, part: name }, 'did not stop cleanly'))
  }
  try {
    const keys = createJobKeys(config.keyPrefix)
    const producer = producerConnection(options.redisUrl, log)
    stops.push({ name: 'redis', stop: () => closeConnection(producer) })
    await untilReady(producer, READY_WITHIN_MS)
    const deployment = await beginDeployment(producer, keys.deployment, config, log)
    const stopFollowing = followKeys(deployment, log)
    stops.push({ name: 'keys', stop: async () => stopFollowing() })

    const conditions = buildConditions(producer, keys, log)
    stops.push({ name: 'conditions', stop: conditions.stop })
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
    if (config.role === 'api') {
      const stopLooking = followGeneration(generation, timings.workerBeat, log)
      stops.push({ name: 'generation', stop: async () => stopLooking() })
    }

    let publicUrl = config.publicUrl
    const shared = { keys, deployment, generation, conditions, publicUrl: () => publicUrl }
    let url: string | null = null
    let healthUrl: string | null = null
    let signInUrl: string | null = null
    let reload = (): Promise<void> => Promise.resolve()

    if (config.role !== 'worker') {
      const core = await buildCore(producer, { ...shared, confirmDurable: await durability(producer) }, options)
      stops.push(
        { name: 'queues', stop: () => closeQueues(core.queues) },
        { name: 'upstream', stop: core.closeUpstream },
        { name: 'storage', stop: core.closeStorage },
      )
      const { buildApi } = await import('./compose/api.ts')
      const api = await buildApi(core, options)
      stops.push({ name: 'events', stop: api.stop })
      reload = api.reload
      const ofWorkers = config.role === 'api' ? [workerLook(core)] : [storageLook(core)]
      stops.push({
        name: 'watch',
        stop: watchDeployment(core, [upstreamLook(core, options), ...ofWorkers, ...api.looks], log),
      })
      const server = await startServer(api.app, { host: config.host, port: config.port, portVariable: 'PORT' })
      stops.push({ name: 'server', stop: () => server.stop(2000) })
      url = localOrigin(config.host, server.port)
      signInUrl = api.signInUrl(url)
      // Only the simulator of this process is known to reach the listener. Another upstream on this machine can be a proxy
      // to Replicate, which needs PUBLIC_URL.
      if (publicUrl === null && options.simulator && isLoopback(config.host)) publicUrl = url
    }
    if (config.role !== 'api') {
      const redis = consumerConnection(options.redisUrl, 'workers', log)
      stops.push({ name: 'worker redis', stop: () => closeConnection(redis) })
      await untilReady(redis, READY_WITHIN_MS)
      const core = await buildCore(redis, { ...shared, confirmDurable: await durability(redis) }, options)
      stops.push({ name: 'worker queues', stop: () => closeQueues(core.queues) })
      stops.push({ name: 'worker upstream', stop: core.closeUpstream })
      stops.push({ name: 'worker storage', stop: core.closeStorage })
      const { buildWorkers } = await import('./compose/workers.ts')
      const workers = await buildWorkers(core, options)
      stops.push({ name: 'workers', stop: workers.stop })
      const stopWatchdog = startWatchdog({
        store: core.store,
        neglected: workers.neglected,
        restoreSweep: workers.restoreSweep,
        sameDeployment: core.sameDeployment,
        silence: core.timings.sweepSilence,
        log,
        onSilence: options.onWedged ?? (() => undefined),
      })
      stops.push({ name: 'watchdog', stop: async () => stopWatchdog() })
      if (config.role === 'worker')
        stops.push({
          name: 'watch',
          stop: watchDeployment(core, [upstreamLook(core, options), storageLook(core)], log),
        })
      const health = await startHealth(core, options)
      if (health) {
        stops.push({ name: 'health', stop: () => health.stop(1000) })
        healthUrl = localOrigin(config.host, health.port)
      }
    }
    return { url, signInUrl, healthUrl, webhooks: publicUrl !== null, reload, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
