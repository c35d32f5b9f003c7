import { Redis } from 'ioredis'
import { startService as composeService } from '../../src/compose/service.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import type { Timings } from '../../src/shared/jobs/rules/timings.ts'
import type { ServiceOptions } from '../../src/compose/core.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { buildInScope } from '../../src/shared/process/scope.ts'
import { startSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/start-simulator.ts'
import { createClient } from '../../src/client/client.ts'
import { checkAnswersOf } from './check-answers.ts'
import { freshPrefix, testRedisUrl } from './redis.ts'
import { tempDir } from './temp-dir.ts'
import { simulatorAdmin, type SimulatorAdmin } from './simulator-admin.ts'

export const TEST_KEY = 'test-key-0123456789-0123456789-0123456789'
export const TEST_ADMIN_PASSWORD = 'correct horse'

export interface TestService {
  url: string
  signInUrl: string | null
  simulator: SimulatorAdmin & { url: string; apiUrl: string }
  client: ReturnType<typeof createClient>
  /** A connection of the test's own. */
  redis: Redis
  keys: JobKeys
  stop(): Promise<void>
}

export interface TestServiceOptions {
  /** Variables of the configuration, e.g. `REPLICATE_CREATES_PER_MINUTE`. */
  env?: Record<string, string>
  timings?: Partial<Timings>
  simulator?: Partial<SimulatorOptions>
  redisUrl?: string
  /** false: the simulator counts as one that this service did not start, so it gets no address of the service. */
  webhooks?: boolean
  /** Makes a sign-in link: `signInUrl`. */
  signInLink?: boolean
  /** Something between the service and the simulator: takes the simulator's port, answers the one to go through. */
  through?: (port: number) => Promise<number>
  /** Takes each line of the log; `LOG_LEVEL` says which. */
  onLog?: (line: string) => void
}

/** The whole service in this process, with its own key prefix and simulator. */
export async function startService(options: TestServiceOptions = {}): Promise<TestService> {
  const redisUrl = options.redisUrl ?? testRedisUrl()
  const prefix = options.env?.['KEY_PREFIX'] ?? freshPrefix()
  const simulator: Simulator = await startSimulator({
    port: 0,
    dataDir: null,
    speed: 10,
    createsPerMinute: 60_000,
    readsPerMinute: 60_000,
    ...options.simulator,
  })
  const config = parseConfig({
    PORT: '0',
    DATA_DIR: tempDir(),
    KEY_PREFIX: prefix,
    REPLICATE_CREATES_PER_MINUTE: '60000',
    REPLICATE_READS_PER_MINUTE: '60000',
    TENANT_REQUESTS_PER_MINUTE: '1000000',
    LOG_LEVEL: 'fatal',
    ...options.env,
  })
  const upstreamPort = (await options.through?.(simulator.port)) ?? simulator.port
  const { onLog } = options
  const log = createLogger({
    level: config.logLevel,
    readable: false,
    ...(onLog ? { destination: { write: onLog } } : {}),
  })
  const serviceOptions: ServiceOptions = {
    config,
    redisUrl,
    replicate: { token: 'test', baseUrl: `http://127.0.0.1:${upstreamPort}/v1` },
    ...(options.webhooks === false ? {} : { simulator }),
    devApiKey: TEST_KEY,
    adminPassword: TEST_ADMIN_PASSWORD,
    signInLink: options.signInLink ?? false,
    ...(options.timings ? { timings: options.timings } : {}),
    log,
  }
  const service = await buildInScope(log, (scope) => composeService(serviceOptions, scope))
  const url = service.url ?? ''
  const checked = url ? checkAnswersOf(Number(new URL(url).port)) : null
  const redis = new Redis(redisUrl)
  return {
    url,
    signInUrl: service.signInUrl,
    simulator: { ...simulatorAdmin(simulator.url), url: simulator.url, apiUrl: simulator.apiUrl },
    client: createClient({ baseUrl: url, key: TEST_KEY }),
    redis,
    keys: createJobKeys(prefix),
    async stop() {
      await service.stop()
      checked?.()
      await simulator.stop()
      redis.disconnect()
    },
  }
}
