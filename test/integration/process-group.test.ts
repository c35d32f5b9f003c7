import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { processIdentity } from '../../src/shared/redis/process-identity.ts'
import { freePort } from '../support/free-port.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { spawnNode, type SpawnedProcess } from '../support/spawn-process.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** `--processes`: several processes of one role that share a port. */

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const SIMULATOR = join(import.meta.dirname, '../../src/simulator/main.ts')
const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

const base = { REDIS_URL: '', KEY_PREFIX: freshPrefix(), REPLICATE_API_TOKEN: 'test', REPLICATE_BASE_URL: '' }
const dataDir = tempDir()

beforeAll(async () => {
  const port = await freePort()
  const simulator = spawnNode(SIMULATOR, ['--port', String(port), '--speed', '10'])
  await simulator.waitForLine(/\/v1/)
  base.REDIS_URL = testRedisUrl()
  base.REPLICATE_BASE_URL = `http://127.0.0.1:${port}/v1`
})

interface Line {
  pid?: number
  msg: string
  cause?: string | number
}

const linesOf = ({ stdout }: SpawnedProcess): Line[] =>
  stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []))
const membersOf = (group: SpawnedProcess): number[] =>
  linesOf(group).flatMap(({ pid, msg }) =>
    pid !== undefined && msg.startsWith('genqueue is running (role ') && !msg.includes('processes') ? [pid] : [],
  )

function start(args: string[], env: Record<string, string>): SpawnedProcess {
  return spawnNode(MAIN, args, { env: { ...base, DATA_DIR: dataDir, DEV_API_KEY: TEST_KEY, ...env }, cwd: dataDir })
}

/** One request over a connection of its own, which the group gives to the next process. */
function ask(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false })
    get(url, { agent, headers: { authorization: `Bearer ${TEST_KEY}` } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    }).on('error', reject)
  })
}

/** Sum of the samples of a metric whose labels contain a text. */
function metric(text: string, name: string, label = ''): number {
  const samples = text.split('\n').filter((line) => new RegExp(`^${name}[{ ]`).test(line) && line.includes(label))
  return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

const ended = async (pid: number): Promise<boolean> => (await processIdentity(pid)) === undefined

test('an api of three processes answers on one port, with the figures of all, and replaces one that dies', async () => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const group = start(['--role', 'api', '--processes', '3'], { PORT: String(port) })
  await group.waitForLine(/genqueue is running \(role api, 3 processes\)/)
  // Each process writes its own lines.
  await waitFor('the lines of all processes', () => membersOf(group).length === 3)
  const first = membersOf(group)
  expect(new Set(first).size).toBe(3)
  expect(first).not.toContain(group.pid)

  for (let i = 0; i < 12; i++) expect((await ask(`${url}/v1/presets`)).status).toBe(200)
  // Whichever process answers, the figures are the same.
  for (let i = 0; i < 4; i++) {
    const { status, body } = await ask(`${url}/metrics`)
    expect(status).toBe(200)
    expect(metric(body, 'genqueue_processes')).toBe(3)
    expect(metric(body, 'genqueue_http_request_seconds_count', 'route="/v1/presets"')).toBe(12)
    expect(metric(body, 'genqueue_due', 'state="overdue"')).toBe(0)
  }
  expect((await ask(`${url}/readyz`)).status).toBe(200)

  const [victim = 0] = first
  process.kill(victim, 'SIGKILL')
  await group.waitForLine(/a process of the group ended/)
  expect(linesOf(group).find(({ msg }) => msg.includes('ended; it is started again'))?.cause).toBe('SIGKILL')
  // The others serve meanwhile.
  for (let i = 0; i < 6; i++) expect((await ask(`${url}/livez`)).status).toBe(200)
  await waitFor('another process', () => membersOf(group).length === 4)
  await waitFor('all of its figures', async () => {
    const { body } = await ask(`${url}/metrics`)
    return metric(body, 'genqueue_processes') === 3
  })

  const { code } = await group.kill('SIGTERM')
  expect(code).toBe(0)
  expect(linesOf(group).filter(({ msg }) => msg === 'stopped')).toHaveLength(4)
  for (const pid of membersOf(group)) expect(await ended(pid)).toBe(true)
})

test('workers of two processes run jobs, and share the port of their health', async () => {
  const [port, health] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${port}`
  const api = start(['--role', 'api'], { PORT: String(port), PROCESSES: '2' })
  const workers = start(['--role', 'worker'], { HEALTH_PORT: String(health), PROCESSES: '2' })
  await api.waitForLine(/genqueue is running \(role api, 2 processes\)/)
  await workers.waitForLine(/genqueue is running \(role worker, 2 processes\)/)
  const client = createClient({ baseUrl: url, key: TEST_KEY })
  const jobs = await Promise.all(
    Array.from({ length: 10 }, (_, i) => client.submit({ version: HELLO, input: { text: `job ${i}` } })),
  )
  for (const { id } of jobs) {
    const job = await waitFor('the job to finish', async () => {
      const one = await client.get(id)
      return one.completed_at !== null && one
    })
    expect(job.status).toBe('succeeded')
  }
  for (let i = 0; i < 4; i++) expect((await ask(`http://127.0.0.1:${health}/readyz`)).status).toBe(200)
  const { body } = await ask(`http://127.0.0.1:${health}/metrics`)
  expect(metric(body, 'genqueue_processes')).toBe(2)
  expect(metric(body, 'genqueue_jobs_finished_total', 'status="succeeded"')).toBe(10)
  // Nobody is left behind by a supervisor that is killed.
  await waitFor('the lines of both', () => membersOf(workers).length === 2)
  const members = membersOf(workers)
  await workers.kill('SIGKILL')
  for (const pid of members) await waitFor('the worker to end', () => ended(pid))
  expect((await api.kill('SIGINT')).code).toBe(0)
})

test('settings that cannot work are reported once', async () => {
  const all = start(['--role', 'all', '--processes', '2'], {})
  expect((await all.exited).code).toBe(1)
  expect(all.stderr).toContain('PROCESSES: read 2, expected 1 with ROLE=all')

  const port = await freePort()
  const single = start(['--role', 'api'], { PORT: String(port) })
  await single.waitForLine(/genqueue is running/)
  const second = start(['--role', 'api', '--processes', '3'], { PORT: String(port) })
  expect((await second.exited).code).toBe(1)
  expect(second.stderr.match(/PORT: port \d+ on 127\.0\.0\.1 is in use/g)).toHaveLength(1)
  await single.kill('SIGTERM')
})

test('a signal during the start ends the group', async () => {
  const group = start(['--role', 'api', '--processes', '2'], { PORT: String(await freePort()) })
  await group.waitForLine(/genqueue is starting a group/)
  expect((await group.kill('SIGTERM')).code).toBe(0)
})
