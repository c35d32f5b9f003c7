import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
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
  await service.waitForLine(/Try it/, { timeout: 60_000 })
  const credentials = JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8')) as { apiKey: string }
  return { service, key: credentials.apiKey }
}

test('after kill -9 of everything a second start finishes every job, each prediction once', async () => {
  const [port, simulatorPort] = [await freePort(), await freePort()]
  // Six creates a minute after a burst of 12: some jobs are still queued, others are under way when it dies.
  const env = {
    PORT: String(port),
    SIMULATOR_PORT: String(simulatorPort),
    SIMULATOR_SPEED: '0.5',
    REPLICATE_CREATES_PER_MINUTE: '60',
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
  const done = await waitFor(
    'every job of the first life to be final',
    async () => {
      const { data } = await client.list({ limit: 100 })
      const known = await owners()
      // Killed between intent and POST: nothing was created, and nobody can know that yet.
      const settled = data.every(
        (job) => job.completed_at !== null || (job.phase === 'unknown' && !known.includes(job.id)),
      )
      return data.length === accepted.length && settled && data
    },
    { timeout: 90_000 },
  )
  const finished = done.filter(({ phase }) => phase !== 'unknown')
  expect(finished.map(({ status }) => status)).toEqual(finished.map(() => 'succeeded'))
  expect(finished.length).toBeGreaterThanOrEqual(accepted.length - 1)
  expect((await owners()).sort()).toEqual(finished.map(({ id }) => id).sort())

  const exit = await second.service.kill('SIGTERM')
  expect(exit).toEqual({ code: 0, signal: null })
}, 150_000)

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
  expect(service.stderr).toContain('REPLICATE_CREATES_PER_MINUTE: read "0", expected a whole number, 1 or more')
})
