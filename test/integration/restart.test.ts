import { join } from 'node:path'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { dataDirHolder } from '../../src/shared/redis/data-dir-lock.ts'
import { loadDeployment } from '../../src/shared/redis/deployment.ts'
import { runningRedisUrl } from '../../src/shared/redis/provide-redis.ts'
import { createClient } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { freePort } from '../support/free-port.ts'
import { simulatorAdmin } from '../support/simulator-admin.ts'
import { spawnNode, type SpawnedProcess } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const dataDir = tempDir()
let running: SpawnedProcess | undefined
afterAll(async () => {
  await running?.kill('SIGTERM')
})

async function start(env: Record<string, string>): Promise<{ service: SpawnedProcess; key: string }> {
  const service = spawnNode(MAIN, [], { env: { DATA_DIR: dataDir, LOG_LEVEL: 'info', ...env }, cwd: dataDir })
  running = service
  await service.waitForLine(/Try it/)
  const credentials = JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8')) as { apiKey: string }
  return { service, key: credentials.apiKey }
}

test('after kill -9 of everything a second start finishes every job, each prediction once', async () => {
  const [port, simulatorPort] = [await freePort(), await freePort()]
  // Six creates a minute after a burst of 12: on the slowest machine some jobs are still queued when it dies, and others run.
  const env = {
    PORT: String(port),
    SIMULATOR_PORT: String(simulatorPort),
    SIMULATOR_SPEED: '0.2',
    REPLICATE_CREATES_PER_MINUTE: '6',
    REPLICATE_CREATE_BURST: '12',
  }
  const first = await start(env)
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}`, key: first.key })
  const admin = simulatorAdmin(`http://127.0.0.1:${simulatorPort}`)
  const accepted: Job[] = []
  for (let i = 0; i < 16; i++)
    accepted.push(
      await client.submit({
        model: 'black-forest-labs/flux-schnell',
        input: { prompt: `kill ${i}`, megapixels: '0.25' },
      }),
    )
  await waitFor('jobs in every early phase', async () => {
    const { data } = await client.list({ limit: 100 })
    const statuses = new Set(data.map(({ status }) => status))
    return statuses.has('queued') && statuses.has('starting') && statuses.has('processing')
  })
  await first.service.kill('SIGKILL')

  const second = await start({ ...env, SIMULATOR_SPEED: '5', REPLICATE_CREATES_PER_MINUTE: '600' })
  expect(second.key).toBe(first.key)
  const owners = async (): Promise<(string | null)[]> =>
    (await admin.books()).predictions.map(({ webhook }) => new URL(webhook ?? '').searchParams.get('job'))
  const done = await waitFor('every job of the first life to be final', async () => {
    const { data } = await client.list({ limit: 100 })
    const known = await owners()
    // Killed between intent and POST: nothing was created, and no process can know that yet.
    const settled = data.every(
      (job) => job.completed_at !== null || (job.phase === 'unknown' && !known.includes(job.id)),
    )
    return data.length === accepted.length && settled && data
  })
  const finished = done.filter(({ phase }) => phase !== 'unknown')
  expect(finished.map(({ status }) => status)).toEqual(finished.map(() => 'succeeded'))
  expect(finished.length).toBeGreaterThanOrEqual(accepted.length - 1)
  expect((await owners()).sort()).toEqual(finished.map(({ id }) => id).sort())

  const exit = await second.service.kill('SIGTERM')
  expect(exit).toEqual({ code: 0, signal: null })
})

test('a port in use is an error that names it', async () => {
  const first = spawnNode(MAIN, [], {
    env: { DATA_DIR: tempDir(), PORT: '0', SIMULATOR_PORT: '0' },
    cwd: dataDir,
  })
  const [, port = ''] = await first.waitForLine(/Studio\s+http:\/\/127\.0\.0\.1:(\d+)/)
  const second = spawnNode(MAIN, [], { env: { DATA_DIR: tempDir(), PORT: port, SIMULATOR_PORT: '0' }, cwd: dataDir })
  expect(await second.exited).toMatchObject({ code: 1 })
  expect(second.stderr).toContain(`PORT: port ${port} on 127.0.0.1 is in use`)
  await first.kill('SIGTERM')
})

test('a wrong configuration names the variable, what was read and what is expected', async () => {
  const service = spawnNode(MAIN, [], { env: { PORT: 'http', REPLICATE_CREATES_PER_MINUTE: '0' }, cwd: dataDir })
  expect(await service.exited).toMatchObject({ code: 1 })
  expect(service.stderr).toContain('PORT: read "http", expected a port number')
  expect(service.stderr).toContain('REPLICATE_CREATES_PER_MINUTE: read "0", expected a whole number, 1 to 1000000')
})

describe('a start', () => {
  const spawnMain = (args: string[], env: Record<string, string>, cwd: string): SpawnedProcess =>
    spawnNode(MAIN, args, { env: { PORT: '0', SIMULATOR_PORT: '0', ...env }, cwd })

  test.each([
    ['at once', /genqueue is starting/],
    ['when Redis runs', /Redis is running/],
  ])('that SIGTERM ends %s leaves nothing behind', async (_when, line) => {
    const folder = tempDir()
    const service = spawnMain([], { DATA_DIR: folder }, folder)
    await service.waitForLine(line)
    expect(await service.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(service.stderr).not.toContain('could not start')
    expect(await dataDirHolder(folder)).toBeUndefined()
    expect(await runningRedisUrl(folder)).toBeNull()
  })

  test('that fails names the setting to change', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'file'), '')
    const inTheWay = spawnMain([], { DATA_DIR: join(folder, 'file') }, folder)
    const below = spawnMain([], { DATA_DIR: join(folder, 'file', 'data') }, folder)
    // Node's recursive mkdir never ends where nothing can be created.
    const unmade = existsSync('/proc/self') ? spawnMain([], { DATA_DIR: '/proc/genqueue/data' }, folder) : null
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? String(address.port) : ''
    const busy = spawnMain([], { DATA_DIR: join(folder, 'data'), SIMULATOR_PORT: port }, folder)
    for (const one of [inTheWay, below, busy]) expect((await one.exited).code).toBe(1)
    expect(inTheWay.stderr).toMatch(/DATA_DIR: read .*file", expected a folder that can be written: (EEXIST|ENOTDIR)/)
    expect(below.stderr).toMatch(/DATA_DIR: read .*expected a folder that can be written: ENOTDIR/)
    if (unmade) {
      expect((await unmade.exited).code).toBe(1)
      expect(unmade.stderr).toMatch(/DATA_DIR: read "\/proc\/genqueue\/data", .*ENOENT.*\. Set DATA_DIR to a folder/)
    }
    expect(busy.stderr).toContain(`SIMULATOR_PORT: port ${port} on 127.0.0.1 is already in use`)
    expect(await runningRedisUrl(join(folder, 'data'))).toBeNull()
    taken.close()
  })

  test('of a worker writes nothing but JSON lines, and warns of a setting that is misspelt', async () => {
    const folder = tempDir()
    const simulator = spawnNode(join(import.meta.dirname, '../../src/simulator/main.ts'), ['--port', '0'])
    const [, url = ''] = await simulator.waitForLine(/(http:\S+\/v1)/)
    const prefix = freshPrefix()
    // A worker waits for the deployment that an api creates.
    const redis = new Redis(testRedisUrl())
    await loadDeployment(redis, createJobKeys(prefix).deployment)
    await redis.quit()
    const worker = spawnMain(
      ['--role', 'worker'],
      {
        DATA_DIR: folder,
        REDIS_URL: testRedisUrl(),
        KEY_PREFIX: prefix,
        REPLICATE_API_TOKEN: 'test',
        REPLICATE_BASE_URL: url,
        REPLICATE_CREATES_PER_MINUT: '60',
        LOG_LEVEL: 'debug',
      },
      folder,
    )
    await worker.waitForLine(/is running/)
    expect((await worker.kill('SIGTERM')).code).toBe(0)
    const lines = `${worker.stdout}${worker.stderr}`.split('\n').filter((text) => text !== '')
    expect(lines.map((text): { variable?: string } => JSON.parse(text))).toContainEqual(
      expect.objectContaining({
        level: 40,
        variable: 'REPLICATE_CREATES_PER_MINUT',
        meant: 'REPLICATE_CREATES_PER_MINUTE',
      }),
    )
    await simulator.kill()
  })

  test('without a Redis says which one within seconds', async () => {
    const folder = tempDir()
    const port = await freePort()
    const env = { REDIS_URL: `redis://127.0.0.1:${port}`, REPLICATE_API_TOKEN: 'test', DATA_DIR: folder }
    const worker = spawnMain(['--role', 'worker'], env, folder)
    const [text] = await worker.waitForLine(/.*Redis does not respond.*/)
    expect(JSON.parse(text)).toMatchObject({ level: 50, host: '127.0.0.1', port })
    await worker.kill('SIGKILL')
  })
})
