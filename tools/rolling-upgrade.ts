// A rolling upgrade from the first version under load: processes of both work side by side on one Redis.
//
//   git worktree add /tmp/first e51cc88 && (cd /tmp/first && npm ci)
//   redis-server --port 6399 --save '' --appendonly yes &
//   node tools/rolling-upgrade.ts /tmp/first redis://127.0.0.1:6399
//
// It empties Redis. Jobs of all kinds are submitted all the time, while a new worker joins, one old worker is stopped and the other killed,
// and a new api takes the place of the old one. It fails unless every job succeeds with one prediction, and audit and ledger find nothing
// but the stored files that the first version did not count.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { z } from 'zod'

const TODAY = join(import.meta.dirname, '..')
const PORTS = { api: 23_901, simulator: 23_902 }
const API = `http://127.0.0.1:${PORTS.api}`
const SIMULATOR = `http://127.0.0.1:${PORTS.simulator}`
const KEY = 'rolling-upgrade-key-0123456789-0123456789'
const GRANT = 500_000_000
/** Between two submissions. */
const PACE_MS = 150
/** Between two steps of the upgrade. */
const STEP_MS = 12_000
const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

const [checkout = '', redisUrl = ''] = process.argv.slice(2)
if (checkout === '' || redisUrl === '') {
  console.error('usage: node tools/rolling-upgrade.ts <checkout of the first version> <URL of a Redis to empty>')
  process.exit(2)
}

const began = Date.now()
const say = (line: string): void => console.log(`${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s  ${line}`)

const work = mkdtempSync(join(tmpdir(), 'genqueue-rolling-upgrade-'))
const { PATH = '', HOME = '' } = process.env
const env = {
  PATH,
  HOME,
  REDIS_URL: redisUrl,
  KEY_PREFIX: 'rolling-upgrade',
  DATA_DIR: join(work, 'data'),
  REPLICATE_API_TOKEN: 'test',
  REPLICATE_BASE_URL: `${SIMULATOR}/v1`,
  PUBLIC_URL: API,
  DEV_API_KEY: KEY,
  TENANT_REQUESTS_PER_MINUTE: '1000000',
  REPLICATE_CREATES_PER_MINUTE: '1200',
  PRESETS_DIR: join(checkout, 'presets'),
}

const processes: ChildProcess[] = []

function start(folder: string, entry: string, args: string[], more: Record<string, string> = {}): ChildProcess {
  const log = openSync(join(work, `${processes.length}.log`), 'a')
  const options = { cwd: work, env: { ...env, ...more } }
  const child = spawn(process.execPath, [join(folder, entry), ...args], { ...options, stdio: ['ignore', log, log] })
  processes.push(child)
  return child
}
const api = (folder: string): ChildProcess =>
  start(folder, 'src/main.ts', ['--role', 'api'], { PORT: String(PORTS.api) })
const worker = (folder: string): ChildProcess => start(folder, 'src/main.ts', ['--role', 'worker'])

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => void child.once('exit', resolve))
  child.kill(signal)
  await ended
}

async function until(url: string): Promise<void> {
  const answers = (): Promise<boolean> =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await answers())) await delay(100)
}

const jobSchema = z.object({
  id: z.string(),
  status: z.string(),
  completed_at: z.string().nullable(),
})
type Job = z.output<typeof jobSchema>

/** Asks the api, again until it answers: it is replaced meanwhile. */
async function ask<T>(schema: z.ZodType<T>, path: string, key: string, body?: object, idempotencyKey = ''): Promise<T> {
  for (;;) {
    const headers = {
      authorization: `Bearer ${key}`,
      ...(body && { 'content-type': 'application/json' }),
      ...(idempotencyKey !== '' && { 'idempotency-key': idempotencyKey }),
    }
    const sent = { method: body ? 'POST' : 'GET', headers, ...(body && { body: JSON.stringify(body) }) }
    const response = await fetch(API + path, sent).catch(() => null)
    if (response?.ok === true) return schema.parse(await response.json())
    const isFinal = response !== null && response.status < 500 && response.status !== 429
    if (isFinal) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    await delay(200)
  }
}

interface Accepted {
  id: string
  key: string
}

const idSchema = z.object({ id: z.string() })

/** Submissions of a paying and a free tenant: presets with pictures, batches, a slower model, texts. */
async function submit(i: number, paying: string): Promise<Accepted[]> {
  const one = async (key: string, body: object): Promise<Accepted[]> => [
    { id: (await ask(idSchema, '/v1/jobs', key, body, `job-${i}`)).id, key },
  ]
  const page = (text: string): object => ({ prompt: `${text} ${i}` })
  switch (i % 5) {
    case 0:
      return one(paying, { preset: 'story-page', input: page('a page') })
    case 1: {
      const items = [{ input: page('the left page') }, { input: page('the right page') }]
      const { id } = await ask(idSchema, '/v1/batches', paying, { preset: 'story-page', items }, `batch-${i}`)
      const listed = z.object({ data: z.array(idSchema) })
      const { data } = await ask(listed, `/v1/batches/${id}/jobs?limit=10`, paying)
      return data.map((job) => ({ id: job.id, key: paying }))
    }
    case 2: {
      const input = { prompt: `a slow picture ${i}`, megapixels: '0.25' }
      return one(KEY, { model: 'black-forest-labs/flux-dev-lora', input })
    }
    default:
      return one(KEY, { version: HELLO, input: { text: `a text ${i}` } })
  }
}

async function makePayingTenant(): Promise<string> {
  await ask(z.unknown(), '/v1/admin/tenants', KEY, { id: 'paying', title: 'A tenant with credits' })
  await ask(z.unknown(), '/v1/admin/tenants/paying/credits', KEY, { amount: GRANT, reason: 'A grant' })
  const scopes = ['jobs:read', 'jobs:write', 'credits:read']
  const made = z.object({ key: z.string() })
  return (await ask(made, '/v1/admin/tenants/paying/keys', KEY, { scopes })).key
}

async function upgrade(olds: { api: ChildProcess; workers: [ChildProcess, ChildProcess] }): Promise<void> {
  await delay(STEP_MS)
  say('a new worker joins')
  worker(TODAY)
  await delay(STEP_MS)
  say('the first old worker is stopped')
  await stop(olds.workers[0], 'SIGTERM')
  await delay(STEP_MS)
  say('the second old worker is killed, another new one joins')
  await stop(olds.workers[1], 'SIGKILL')
  worker(TODAY)
  await delay(STEP_MS)
  say('the api is replaced')
  await stop(olds.api, 'SIGTERM')
  api(TODAY)
  await until(`${API}/livez`)
  say('the new api is up')
  await delay(STEP_MS)
}

async function finished({ id, key }: Accepted): Promise<Job> {
  for (;;) {
    const job = await ask(jobSchema, `/v1/jobs/${id}`, key)
    if (job.completed_at !== null) return job
    await delay(500)
  }
}

/** Number of predictions made for each job. */
async function predictions(ids: string[]): Promise<Map<string, number>> {
  const booksSchema = z.object({ predictions: z.array(z.object({ webhook: z.string().nullable() })) })
  const books = booksSchema.parse(await (await fetch(`${SIMULATOR}/_sim/books`)).json())
  const made = new Map(ids.map((id) => [id, 0]))
  for (const { webhook } of books.predictions) {
    const id = /job_[0-9A-Z]{26}/.exec(webhook ?? '')?.[0] ?? ''
    const before = made.get(id)
    if (before === undefined) throw new Error(`A prediction belongs to no job: ${webhook}`)
    made.set(id, before + 1)
  }
  return made
}

const command = async (...args: string[]): Promise<string> => {
  const options = { cwd: work, env, maxBuffer: 64 * 1024 * 1024 }
  const { stdout } = await promisify(execFile)(process.execPath, [join(TODAY, 'src/cli/main.ts'), ...args], options)
  return stdout
}

/** What `audit --repair` repairs, beside what the first version did not count. */
async function judgeAudit(): Promise<void> {
  const finding = z.object({ invariant: z.string() })
  const lines = (await command('audit', '--repair', '--json')).trim().split('\n').filter(Boolean)
  const others = lines.filter((line) => finding.parse(JSON.parse(line)).invariant !== 'stored_counted')
  if (others.length > 0) throw new Error(`The audit found:\n${others.join('\n')}`)
  await command('audit')
  await command('ledger', 'verify')
}

async function main(): Promise<void> {
  const redis = new Redis(redisUrl)
  await redis.flushall()
  redis.disconnect()
  const budgets = ['--creates-per-minute', '1200', '--reads-per-minute', '6000']
  start(TODAY, 'src/simulator/main.ts', ['--port', String(PORTS.simulator), ...budgets])
  await until(`${SIMULATOR}/_sim/books`)
  const olds: Parameters<typeof upgrade>[0] = {
    api: api(checkout),
    workers: [worker(checkout), worker(checkout)],
  }
  await until(`${API}/livez`)
  say('api and two workers of the first version are up')

  const paying = await makePayingTenant()
  const submissions: Promise<Accepted[]>[] = []
  const upgraded = new AbortController()
  const load = (async () => {
    for (let i = 0; !upgraded.signal.aborted; i++) {
      submissions.push(submit(i, paying))
      await delay(PACE_MS)
    }
  })()
  await upgrade(olds).finally(() => upgraded.abort())
  await load
  const accepted = (await Promise.all(submissions)).flat()
  say(`${accepted.length} jobs were accepted`)

  for (const job of accepted) {
    const { status } = await finished(job)
    if (status !== 'succeeded') throw new Error(`${job.id} is ${status}`)
  }
  const made = await predictions(accepted.map(({ id }) => id))
  for (const [id, count] of made) if (count !== 1) throw new Error(`${id} has ${count} predictions`)
  say('every job succeeded, with one prediction')
  const creditsSchema = z.object({ balance: z.number(), held: z.number(), captured: z.number() })
  const credits = await ask(creditsSchema, '/v1/credits', paying)
  if (credits.held !== 0 || credits.balance + credits.captured !== GRANT)
    throw new Error(`The account does not add up: ${JSON.stringify(credits)}`)
  await judgeAudit()
  say('audit and ledger find nothing')
}

try {
  await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
} finally {
  for (const child of processes) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
  process.exit()
}
