import { join } from 'node:path'
import { Redis } from 'ioredis'
import { createClient } from '../../src/client/client.ts'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { checkAnswersFrom } from './check-answers.ts'
import { freePort } from './free-port.ts'
import { freshPrefix, testRedisUrl } from './redis.ts'
import { simulatorAdmin, type SimulatorAdmin } from './simulator-admin.ts'
import { spawnNode, type SpawnedProcess } from './spawn-process.ts'
import { tempDir } from './temp-dir.ts'
import { waitFor } from './wait-for.ts'
import { TEST_KEY } from './start-service.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const SIMULATOR = join(import.meta.dirname, '../../src/simulator/main.ts')

export interface Fleet {
  /** One for each api. */
  clients: ReturnType<typeof createClient>[]
  urls: string[]
  simulator: SimulatorAdmin & { url: string }
  redis: Redis
  keys: JobKeys
  apis: SpawnedProcess[]
  workers: SpawnedProcess[]
  /** One more worker; `env` wins over that of the fleet. */
  addWorker(env?: Record<string, string>): Promise<SpawnedProcess>
  stop(): Promise<void>
}

/** Waits until a process answers, whatever it logs. */
async function serving(one: SpawnedProcess, port: number): Promise<void> {
  let hasEnded = false
  void one.exited.then(() => (hasEnded = true))
  const lives = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/livez`).then(
      ({ ok }) => ok,
      () => false,
    )
  await waitFor(`the process on port ${port} to answer`, async () => hasEnded || (await lives()))
  if (hasEnded) throw new Error(`The process on port ${port} ended:\n${one.stdout}${one.stderr}`)
}

/** The service as it is run in production: a simulator, apis and workers, each a separate process. */
export async function startProcesses(options: {
  /** Default: the Redis that all test files share. */
  redisUrl?: string
  apis: number
  workers: number
  env?: Record<string, string>
  simulatorArgs?: string[]
  /** For the Node of apis and workers. */
  nodeFlags?: readonly string[]
  /** Proxies between the service and the simulator: gets the addresses of the simulator and the first api, returns theirs. */
  through?: (simulator: string, api: string) => Promise<{ simulator: string; api: string }>
}): Promise<Fleet> {
  const dataDir = tempDir()
  const prefix = freshPrefix()
  const redisUrl = options.redisUrl ?? testRedisUrl()
  const { nodeFlags = [] } = options
  const simulatorPort = await freePort()
  const simulator = spawnNode(SIMULATOR, ['--port', String(simulatorPort), ...(options.simulatorArgs ?? [])])
  await simulator.waitForLine(/\/v1/)
  const simulatorUrl = `http://127.0.0.1:${simulatorPort}`
  const ports: number[] = []
  for (let i = 0; i < options.apis; i++) ports.push(await freePort())
  const direct = { simulator: simulatorUrl, api: `http://127.0.0.1:${ports[0]}` }
  const reached = (await options.through?.(direct.simulator, direct.api)) ?? direct
  const env = {
    REDIS_URL: redisUrl,
    KEY_PREFIX: prefix,
    DATA_DIR: dataDir,
    REPLICATE_API_TOKEN: 'test',
    REPLICATE_BASE_URL: `${reached.simulator}/v1`,
    PUBLIC_URL: reached.api,
    DEV_API_KEY: TEST_KEY,
    TENANT_REQUESTS_PER_MINUTE: '1000000',
    LOG_LEVEL: 'info',
    ...options.env,
  }
  const apis = ports.map((port) =>
    spawnNode(MAIN, ['--role', 'api'], { nodeFlags, env: { ...env, PORT: String(port) }, cwd: dataDir }),
  )
  const addWorker = async (own: Record<string, string> = {}): Promise<SpawnedProcess> => {
    const port = await freePort()
    const worker = spawnNode(MAIN, ['--role', 'worker'], {
      nodeFlags,
      env: { ...env, ...own, HEALTH_PORT: String(port) },
      cwd: dataDir,
    })
    await serving(worker, port)
    return worker
  }
  const workers = await Promise.all(Array.from({ length: options.workers }, () => addWorker()))
  await Promise.all(apis.map((api, i) => serving(api, ports[i] ?? 0)))
  const redis = new Redis(redisUrl)
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  const unchecked = urls.map(checkAnswersFrom)
  return {
    clients: urls.map((baseUrl) => createClient({ baseUrl, key: TEST_KEY })),
    urls,
    simulator: { ...simulatorAdmin(simulatorUrl), url: simulatorUrl },
    redis,
    keys: createJobKeys(prefix),
    apis,
    workers,
    addWorker: async (own) => {
      const worker = await addWorker(own)
      workers.push(worker)
      return worker
    },
    async stop() {
      for (const end of unchecked) end()
      await Promise.all([...apis, ...workers].map((one) => one.kill('SIGTERM')))
      await simulator.kill('SIGTERM')
      redis.disconnect()
    },
  }
}
