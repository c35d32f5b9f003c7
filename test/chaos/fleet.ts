import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { DEFAULT_TIMINGS, type Timings } from '../../src/shared/jobs/rules/timings.ts'
import { checkAnswersFrom } from '../support/check-answers.ts'
import { freePort } from '../support/free-port.ts'
import { startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { simulatorAdmin, type SimulatorAdmin } from '../support/simulator-admin.ts'
import { spawnNode, type SpawnedProcess } from '../support/spawn-process.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { tempDir } from '../support/temp-dir.ts'
import type { Strike } from './borders.ts'
import { makeCustomers, type Customer } from './customers.ts'
import type { Variant } from './variant.ts'

const ENTRY = join(import.meta.dirname, 'process-entry.ts')
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const SIMULATOR = join(import.meta.dirname, '../../src/simulator/main.ts')
const PRESETS = join(import.meta.dirname, 'presets')
const PREFIX = 'chaos'

export interface ChaosFleet {
  redis: OwnRedis
  /** A connection of the harness's own, past the proxies; its commands wait while Redis is away. */
  inspect: Redis
  keys: JobKeys
  customers: Customer[]
  simulator: SimulatorAdmin & {
    url: string
    clearFaults(): Promise<void>
    /** SIGKILL: as in a crash. Its books are in its journal, its faults are forgotten. */
    kill(): Promise<void>
    /** Again, on the same port and journal. */
    start(): Promise<void>
  }
  /** The first of `apiUrls`: where webhooks go. */
  apiUrl: string
  apiUrls: string[]
  dataDir: string
  timings: Timings
  creates: { perMinute: number; burst: number }
  proxies: { apiRedis: TcpProxy; workerRedis: TcpProxy; upstream: TcpProxy }
  /** Starts a process and waits for nothing. `timings`: other durations than the fleet's. `api`: which of them it is. */
  spawn(role: 'api' | 'worker', strike?: Strike | null, timings?: Partial<Timings>, api?: number): SpawnedProcess
  /** Starts src/main.ts itself, with the durations of production. */
  spawnMain(role: 'api' | 'worker'): SpawnedProcess
  stop(): Promise<void>
}

export interface FleetOptions {
  seed?: number
  timings?: Partial<Timings>
  createsPerMinute?: number
  readsPerMinute?: number
  /** What upstream allows; far more than we ask for when not given. */
  upstreamReadsPerMinute?: number
  simulatorSpeed?: number
  logLevel?: string
  variant?: Partial<Variant>
  /** More variables of the configuration, for apis and workers. */
  env?: Record<string, string>
}

const PLAIN: Variant = { apis: 1, webhooks: true, strict: false, upstreamDies: false }

/** A simulator that can be killed and resumes from its journal. */
async function startSimulatorProcess(port: number, flags: Record<string, number>) {
  const all = Object.entries({ port, ...flags, data: tempDir() })
  const start = async (): Promise<SpawnedProcess> => {
    const next = spawnNode(
      SIMULATOR,
      all.flatMap(([name, value]) => [`--${name}`, String(value)]),
    )
    const [said] = await next.waitForLine(/\/v1|is already in use/)
    if (said === '/v1') return next
    // While no process listened, the system gave the port to another connection.
    await delay(500)
    return start()
  }
  let life = start()
  await life
  return {
    async kill(): Promise<void> {
      // One that is only just starting is killed once it serves: the next one needs its port.
      const last = await life
      await last.kill('SIGKILL')
    },
    async start(): Promise<void> {
      life = start()
      await life
    },
  }
}

/** Redis, the simulator and the proxies between the parts; the api and the workers are the caller's to start and to kill. */
export async function startChaosFleet(options: FleetOptions = {}): Promise<ChaosFleet> {
  const { seed = 1, createsPerMinute = 3000, simulatorSpeed = 10 } = options
  const dataDir = tempDir()
  const variant = { ...PLAIN, ...options.variant }
  const redis = await startOwnRedis({ extraFlags: variant.strict ? ['--appendfsync', 'always'] : [] })
  const simulatorPort = await freePort()
  const apiPorts = [await freePort(), await freePort()].slice(0, variant.apis)
  const simulator = await startSimulatorProcess(simulatorPort, {
    seed,
    speed: simulatorSpeed,
    'creates-per-minute': 600_000,
    'reads-per-minute': options.upstreamReadsPerMinute ?? 600_000,
  })
  const [apiRedis, workerRedis, upstream] = await Promise.all([
    startTcpProxy({ port: redis.port }),
    startTcpProxy({ port: redis.port }),
    startTcpProxy({ port: simulatorPort }),
  ])
  const apiUrls = apiPorts.map((port) => `http://127.0.0.1:${port}`)
  const [apiUrl = ''] = apiUrls
  const unchecked = apiUrls.map(checkAnswersFrom)
  const simulatorUrl = `http://127.0.0.1:${simulatorPort}`
  const env = {
    KEY_PREFIX: PREFIX,
    DATA_DIR: dataDir,
    REPLICATE_API_TOKEN: 'test',
    REPLICATE_BASE_URL: `http://127.0.0.1:${upstream.port}/v1`,
    REPLICATE_CREATES_PER_MINUTE: String(createsPerMinute),
    REPLICATE_READS_PER_MINUTE: String(options.readsPerMinute ?? 60_000),
    // An upstream on loopback would reach an api on loopback without being configured.
    ...(variant.webhooks ? { PUBLIC_URL: apiUrl } : { HOST: '0.0.0.0' }),
    ...(variant.strict ? { DURABILITY: 'strict' } : {}),
    DEV_API_KEY: TEST_KEY,
    PRESETS_DIR: PRESETS,
    // Limited tenants make jobs without a price as well: what is audited then is more.
    UNPRICED_MODELS: 'allow',
    WEBHOOK_ALLOW: 'loopback',
    TENANT_REQUESTS_PER_MINUTE: '1000000',
    LOG_LEVEL: options.logLevel ?? 'warn',
    ...options.env,
  }
  const timings: Timings = { ...DEFAULT_TIMINGS, ...SHORT_TIMINGS, ...options.timings }
  const envOf = (role: 'api' | 'worker', api = 0) => {
    const { port } = role === 'api' ? apiRedis : workerRedis
    return { ...env, PORT: String(apiPorts[api]), REDIS_URL: `redis://127.0.0.1:${port}` }
  }
  const inspect = new Redis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 100 })
  inspect.on('error', () => undefined)
  const keys = createJobKeys(PREFIX)
  return {
    redis,
    inspect,
    keys,
    customers: await makeCustomers(inspect, keys),
    simulator: {
      ...simulatorAdmin(simulatorUrl),
      url: simulatorUrl,
      async clearFaults() {
        await fetch(`${simulatorUrl}/_sim/faults`, { method: 'DELETE' })
      },
      kill: simulator.kill,
      start: simulator.start,
    },
    apiUrl,
    apiUrls,
    dataDir,
    timings,
    creates: { perMinute: createsPerMinute, burst: Math.max(1, Math.ceil(createsPerMinute / 60)) },
    proxies: { apiRedis, workerRedis, upstream },
    spawn(role, strike = null, more = {}, api = 0) {
      const args = ['--timings', JSON.stringify({ ...timings, ...more })]
      if (strike !== null) args.push('--strike', JSON.stringify(strike))
      return spawnNode(ENTRY, ['--role', role, ...args], { env: envOf(role, api), cwd: dataDir })
    },
    spawnMain: (role) => spawnNode(MAIN, ['--role', role], { env: envOf(role), cwd: dataDir }),
    async stop() {
      for (const end of unchecked) end()
      inspect.disconnect()
      await Promise.all([apiRedis.stop(), workerRedis.stop(), upstream.stop()])
      await simulator.kill()
      redis.resume()
      await redis.kill()
    },
  }
}

/** Waits until a process that was just spawned serves. */
export const running = (one: SpawnedProcess): Promise<unknown> => one.waitForLine(/^chaos: running$/)
