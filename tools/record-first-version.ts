// Records data that the first version wrote: jobs in every phase, for test/integration/first-version.test.ts.
//
//   git worktree add /tmp/first e51cc88 && (cd /tmp/first && npm ci)
//   redis-server --port 6399 --save '' --appendonly yes &
//   node tools/record-first-version.ts /tmp/first redis://127.0.0.1:6399
//
// It empties Redis, starts api, worker and simulator of that checkout, brings jobs into their phases, kills all three, and
// writes what they left to test/fixtures/first-version/data.jsonl.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { z } from 'zod'

const FIXTURES = join(import.meta.dirname, '../test/fixtures/first-version')
const PREFIX = 'first-version'
const PORTS = { api: 23_801, simulator: 23_802 }
const API = `http://127.0.0.1:${PORTS.api}`
const SIMULATOR = `http://127.0.0.1:${PORTS.simulator}`
const KEY = 'first-version-key-0123456789-0123456789'
const PATIENCE_MS = 60_000
/** A PNG of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const [checkout = '', redisUrl = ''] = process.argv.slice(2)
if (checkout === '' || redisUrl === '') {
  console.error('usage: node tools/record-first-version.ts <checkout of the first version> <URL of a Redis to empty>')
  process.exit(2)
}

/** What the answers to the requests of this tool have; each has some of it. */
const seenJob = z.object({ id: z.string().default(''), phase: z.string().default('') })
const answerSchema = seenJob.extend({
  prediction_id: z.string().nullable().default(null),
  key: z.string().default(''),
  url: z.string().default(''),
  data: z.array(seenJob).default([]),
})
type Answer = z.output<typeof answerSchema>

/** One line of the file. `job`: what it is, by a name for the test; `phase`: as the first version showed it. */
type Line =
  | { kind: 'about'; recorded_at: number; prefix: string; api: string; simulator: string; keys: Record<string, string> }
  | { kind: 'job'; name: string; id: string; phase: string; tenant: string }
  | { kind: 'batch'; name: string; id: string; tenant: string }
  | { kind: 'redis'; key: string; type: string; value: unknown; ttl: number }
  | { kind: 'journal'; entry: unknown }
  | { kind: 'file'; path: string; base64: string }

const processes: ChildProcess[] = []
const work = mkdtempSync(join(tmpdir(), 'genqueue-first-version-'))
const dataDir = join(work, 'data')
const journal = join(work, 'simulator')

function start(entry: string, args: string[], env: Record<string, string> = {}): ChildProcess {
  const { PATH = '', HOME = '' } = process.env
  const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit']
  const child = spawn(process.execPath, [join(checkout, entry), ...args], {
    env: { PATH, HOME, ...env },
    cwd: work,
    stdio,
  })
  processes.push(child)
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => void child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await probe().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}.`)
    await delay(50)
  }
}

async function ask(
  path: string,
  options: { key?: string; method?: string; idempotencyKey?: string; body?: unknown; form?: FormData } = {},
): Promise<Answer> {
  const { key = KEY, idempotencyKey, body, form } = options
  const response = await fetch(API + path, {
    method: options.method ?? (body === undefined && form === undefined ? 'GET' : 'POST'),
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(form !== undefined && { body: form }),
  })
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return answerSchema.parse(await response.json())
}

async function faults(body: object): Promise<void> {
  const response = await fetch(`${SIMULATOR}/_sim/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(await response.text())
}

const jobs: { name: string; id: string; phase: string; key: string; tenant: string }[] = []
const batches: { name: string; id: string; tenant: string }[] = []
/** Key of the tenant `paying`. */
let paying = ''

const keyOf = (tenant: string): string => (tenant === 'paying' ? paying : KEY)

/** Submits a job that shall be in `phase` at the end. */
async function submit(name: string, phase: string, body: object, tenant = 'default'): Promise<string> {
  const key = keyOf(tenant)
  const { id } = await ask('/v1/jobs', { key, idempotencyKey: name, body: { ...body, metadata: { name } } })
  jobs.push({ name, id, phase, key, tenant })
  return id
}

/** The phases of the jobs are those in which they shall be at the end; the test knows them by these names. */
async function submitBatch(name: string, phases: string[], body: object, tenant = 'paying'): Promise<void> {
  const key = keyOf(tenant)
  const { id } = await ask('/v1/batches', { key, body })
  batches.push({ name, id, tenant })
  const { data } = await ask(`/v1/batches/${id}/jobs?limit=100`, { key })
  for (const [i, job] of data.entries())
    jobs.push({ name: `${name} ${i + 1}`, id: job.id, phase: phases[i] ?? '', key, tenant })
}

async function inPhase(name: string): Promise<void> {
  const job = jobs.find((one) => one.name === name)
  if (!job) throw new Error(`No job is called ${name}.`)
  await until(`${name} to be ${job.phase}`, async () => {
    const { phase } = await ask(`/v1/jobs/${job.id}`, { key: job.key })
    return phase === job.phase
  })
}

const quick = (text: string): object => ({ model: 'first/quick', input: { text } })
const soon = (text: string): object => ({ model: 'first/soon', input: { text } })
const slow = (text: string): object => ({ model: 'first/slow', input: { text } })
const small = (prompt: string): object => ({
  prompt,
  seed: 1,
  megapixels: '0.25',
  output_format: 'webp',
  output_quality: 10,
})

async function makeTenant(): Promise<void> {
  await ask('/v1/admin/tenants', { body: { id: 'paying', title: 'A tenant with credits' } })
  await ask('/v1/admin/tenants/paying/credits', { body: { amount: 1_000_000, reason: 'a grant of the first version' } })
  const scopes = ['jobs:read', 'jobs:write', 'credits:read']
  const made = await ask('/v1/admin/tenants/paying/keys', { body: { scopes } })
  paying = made.key
}

async function makeFinished(): Promise<void> {
  await submit('succeeded text', 'succeeded', quick('a text'))
  await submit('succeeded picture', 'succeeded', { preset: 'picture', input: small('a lighthouse') }, 'paying')
  await submit('canceled', 'canceled', slow('not wanted'))
  await submitBatch('finished batch', ['succeeded', 'succeeded'], {
    preset: 'text',
    items: [{ input: { text: 'one' } }, { input: { text: 'two' } }],
  })
  await until('the slow one to run', async () => {
    const { id = '' } = jobs.find(({ name }) => name === 'canceled') ?? {}
    return (await ask(`/v1/jobs/${id}`)).phase === 'running'
  })
  const { id = '' } = jobs.find(({ name }) => name === 'canceled') ?? {}
  await ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  for (const { name } of jobs) await inPhase(name)
  await faults({ predictions: { fail: { next: 1, error: 'The model has its own reasons.' } } })
  await submit('failed', 'failed', quick('a failure'))
  await inPhase('failed')
}

/** In the order in which they can be brought about; the worker dies while the last ones run. */
async function makeUnfinished(worker: ChildProcess): Promise<void> {
  await submit('running', 'running', slow('a long run'))
  await submit('running, paid', 'running', { preset: 'slow-text', input: { text: 'a long run' } }, 'paying')
  await submit('created', 'created', { model: 'first/cold', input: { text: 'a cold start' } })
  await submit('stopping', 'stopping', slow('not wanted any more'))
  await submitBatch('sequence', ['running', 'queued', 'queued'], {
    preset: 'slow-text',
    sequential: true,
    items: [{ input: { text: 'one' } }, { input: { text: 'two' } }, { input: { text: 'three' } }],
  })
  // Two of this preset are in flight already, which is its limit.
  await submit('queued, no slot', 'queued', { preset: 'slow-text', input: { text: 'later' } }, 'paying')
  for (const name of ['running', 'running, paid', 'created', 'sequence 1']) await inPhase(name)
  const { id: stopped = '' } = jobs.find(({ name }) => name === 'stopping') ?? {}
  await until('the one to stop to run', async () => (await ask(`/v1/jobs/${stopped}`)).phase === 'running')
  await faults({ cancel: { status: { code: 503, probability: 1 } } })
  await ask(`/v1/jobs/${stopped}/cancel`, { method: 'POST' })

  // Its prediction fails for a reason of the platform, and the create of the next one has no answer yet.
  await faults({ predictions: { fail: { next: 1, error: 'Prediction interrupted; please retry (code: PA)' } } })
  await submit('resubmitting, intended', 'resubmitting', quick('interrupted, again'))
  await until('its first prediction', async () => {
    const { id = '' } = jobs.find(({ name }) => name === 'resubmitting, intended') ?? {}
    return (await ask(`/v1/jobs/${id}`)).prediction_id !== null
  })
  await faults({ create: { delay: { seconds: 600, next: 1 } } })
  await inPhase('resubmitting, intended')

  // These end while no worker lives.
  await faults({ predictions: { fail: { next: 1, error: 'Prediction interrupted; please retry (code: PA)' } } })
  await submit('resubmitting, waiting', 'resubmitting', soon('interrupted'))
  await delay(500)
  await submit('storing', 'storing', { preset: 'later-picture', input: small('a fox') }, 'paying')
  await submit('storing, in a bigger record', 'storing', {
    model: 'first/later-picture',
    input: small('x'.repeat(2000)),
  })
  await delay(700)

  await faults({ create: { cut_after_accept: { next: 1 } }, webhooks: { drop: { probability: 1, events: ['start'] } } })
  await submit('unknown, created', 'unknown', slow('an answer got lost'))
  await inPhase('unknown, created')
  await faults({ create: { cut_before_accept: { next: 1 } } })
  await submit('unknown, not created', 'unknown', quick('a request got lost'))
  await inPhase('unknown, not created')
  await faults({ create: { delay: { seconds: 600, next: 1 } } })
  await submit('submitting', 'submitting', quick('no answer yet'))
  await inPhase('submitting')
  await kill(worker)
}

/** Without a worker they stay as they are accepted. */
async function makeQueued(): Promise<void> {
  const form = new FormData()
  form.append('file', new Blob([Buffer.from(PIXEL, 'base64')], { type: 'image/png' }), 'pixel.png')
  const { url } = await ask('/v1/uploads', { form })
  await submit('queued', 'queued', quick('a text'))
  await submit('queued, an upload', 'queued', { model: 'first/soon', input: { text: 'with a file', file: url } })
  await submit('queued, a file of its own', 'queued', {
    model: 'first/soon',
    input: { text: 'with a file', file: `data:image/png;base64,${PIXEL}` },
  })
  await submit('queued, paid', 'queued', { preset: 'picture', input: small('a harbour') }, 'paying')
  await submitBatch('queued batch', ['queued', 'queued'], {
    preset: 'text',
    items: [{ input: { text: 'one' } }, { input: { text: 'two' } }],
  })
}

async function valueOf(redis: Redis, key: string, type: string): Promise<unknown> {
  if (type === 'string') return redis.get(key)
  if (type === 'hash') return redis.hgetall(key)
  if (type === 'list') return redis.lrange(key, 0, -1)
  if (type === 'set') return (await redis.smembers(key)).toSorted()
  if (type === 'zset') return redis.zrange(key, '0', '-1', 'WITHSCORES')
  if (type === 'stream') return redis.xrange(key, '-', '+')
  throw new Error(`${key} is a ${type}, which this tool does not know.`)
}

async function redisLines(redis: Redis): Promise<Line[]> {
  const lines: Line[] = []
  for (const key of (await redis.keys('*')).toSorted()) {
    const [type, ttl] = [await redis.type(key), await redis.pttl(key)]
    lines.push({ kind: 'redis', key, type, value: await valueOf(redis, key, type), ttl })
  }
  return lines
}

function fileLines(folder: string): Line[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => ({ kind: 'file', path: relative(work, path), base64: readFileSync(path).toString('base64') }))
}

async function record(): Promise<Line[]> {
  const redis = new Redis(redisUrl)
  await redis.flushall()
  const args = ['--port', String(PORTS.simulator), '--data', journal, '--models', join(FIXTURES, 'models.json')]
  const simulator = start('src/simulator/main.ts', args)
  await until('the simulator', async () => (await fetch(`${SIMULATOR}/_sim/books`)).ok)
  const env = {
    REDIS_URL: redisUrl,
    KEY_PREFIX: PREFIX,
    DATA_DIR: dataDir,
    REPLICATE_API_TOKEN: 'test',
    REPLICATE_BASE_URL: `${SIMULATOR}/v1`,
    PUBLIC_URL: API,
    DEV_API_KEY: KEY,
    PRESETS_DIR: join(FIXTURES, 'presets'),
    LOG_LEVEL: 'warn',
  }
  const api = start('src/main.ts', ['--role', 'api'], { ...env, PORT: String(PORTS.api) })
  const worker = start('src/main.ts', ['--role', 'worker'], env)
  await until('the api', async () => (await fetch(`${API}/readyz`)).ok)

  await makeTenant()
  await makeFinished()
  await makeUnfinished(worker)
  await makeQueued()
  for (const { name } of jobs) await inPhase(name)
  await Promise.all([kill(api), kill(simulator)])

  const about = { recorded_at: Date.now(), prefix: PREFIX, api: API, simulator: SIMULATOR }
  const entries = readFileSync(join(journal, 'journal.jsonl'), 'utf8').trim().split('\n')
  const lines: Line[] = [
    { kind: 'about', ...about, keys: { default: KEY, paying } },
    ...jobs.map(({ name, id, phase, tenant }): Line => ({ kind: 'job', name, id, phase, tenant })),
    ...batches.map((batch): Line => ({ kind: 'batch', ...batch })),
    ...(await redisLines(redis)),
    ...entries.map((entry): Line => ({ kind: 'journal', entry: JSON.parse(entry) as unknown })),
    ...fileLines(dataDir),
    ...fileLines(journal).filter((line) => line.kind === 'file' && !line.path.endsWith('journal.jsonl')),
  ]
  redis.disconnect()
  return lines
}

try {
  const lines = await record()
  writeFileSync(join(FIXTURES, 'data.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  console.log(`${lines.length} lines, ${jobs.length} jobs`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  for (const child of processes) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
  process.exit()
}
