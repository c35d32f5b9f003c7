import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Redis } from 'ioredis'
import { z } from 'zod'

/** Data that the first version wrote, with jobs in every phase; tools/record-first-version.ts recorded them. */

const FOLDER = join(import.meta.dirname, '../fixtures/first-version')
/** Presets of its jobs. */
export const FIRST_VERSION_PRESETS = join(FOLDER, 'presets')
/** Models of its jobs: the content of a `--models` file. */
export const firstVersionModels = (): string => readFileSync(join(FOLDER, 'models.json'), 'utf8')

const texts = z.array(z.string())
const valueSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('string'), value: z.string() }),
  z.object({ type: z.literal('hash'), value: z.record(z.string(), z.string()) }),
  z.object({ type: z.literal('list'), value: texts }),
  z.object({ type: z.literal('set'), value: texts }),
  /** Members and scores alternate. */
  z.object({ type: z.literal('zset'), value: texts }),
  /** Ids, each with its fields and values. */
  z.object({ type: z.literal('stream'), value: z.array(z.tuple([z.string(), texts])) }),
])
/** `ttl`: ms that were left, -1 without a time to live. */
const redisSchema = z.object({ kind: z.literal('redis'), key: z.string(), ttl: z.number() }).and(valueSchema)
const aboutSchema = z.object({
  kind: z.literal('about'),
  recorded_at: z.number(),
  prefix: z.string(),
  api: z.string(),
  simulator: z.string(),
  /** API keys by tenant. */
  keys: z.record(z.string(), z.string()),
})
const jobSchema = z.object({
  kind: z.literal('job'),
  name: z.string(),
  id: z.string(),
  phase: z.string(),
  tenant: z.string(),
})
const lineSchema = z.union([
  aboutSchema,
  jobSchema,
  z.object({ kind: z.literal('batch'), name: z.string(), id: z.string(), tenant: z.string() }),
  redisSchema,
  z.object({ kind: z.literal('journal'), entry: z.looseObject({}) }),
  z.object({ kind: z.literal('file'), path: z.string(), base64: z.string() }),
])
type Line = z.output<typeof lineSchema>

export interface Target {
  redis: Redis
  /** `KEY_PREFIX`. */
  prefix: string
  /** Addresses of today's api and simulator, which take the place of those that the data name. */
  api: string
  simulator: string
  /** For the files of the service, and those of the simulator. */
  dataDir: string
  simulatorDir: string
  /** ms since the first version was killed: all times in the data are moved. */
  ago: number
}

const DAY_MS = 86_400_000

/** Moves each time in a text by `shift` ms: each number of ms or µs since 1970 that is within a month of `around`. */
function moveTimes(text: string, around: number, shift: number): string {
  const move = (unit: number) => (digits: string) =>
    Math.abs(Number(digits) / unit - around) < 30 * DAY_MS ? String(Number(digits) + shift * unit) : digits
  return text.replaceAll(/(?<![\w.])\d{13}(?!\d)/g, move(1)).replaceAll(/(?<![\w.])\d{16}(?!\d)/g, move(1000))
}

/** Puts the data into Redis and two folders. Returns the jobs, batches and API keys, by the names that the tool gave them. */
export async function loadFirstVersion(target: Target) {
  const raw = readFileSync(join(FOLDER, 'data.jsonl'), 'utf8').trim().split('\n')
  const about = aboutSchema.parse(JSON.parse(raw[0] ?? ''))
  const shift = Date.now() - target.ago - about.recorded_at
  const lines = raw.slice(1).map((text): Line => {
    const moved = moveTimes(text, about.recorded_at, shift)
      .replaceAll(`{${about.prefix}}`, `{${target.prefix}}`)
      .replaceAll(about.api, target.api)
      .replaceAll(about.simulator, target.simulator)
    return lineSchema.parse(JSON.parse(moved))
  })
  const of = <K extends Line['kind']>(kind: K) =>
    lines.filter((line): line is Extract<Line, { kind: K }> => line.kind === kind)
  for (const line of of('redis')) await write(target.redis, line)
  const folders = { data: target.dataDir, simulator: target.simulatorDir }
  for (const { path, base64 } of of('file')) {
    const [top = '', ...rest] = path.split('/')
    const folder = top === 'data' ? folders.data : folders.simulator
    const file = join(folder, ...rest)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, Buffer.from(base64, 'base64'))
  }
  const journal = of('journal').map(({ entry }) => `${JSON.stringify(entry)}\n`)
  writeFileSync(join(folders.simulator, 'journal.jsonl'), journal.join(''))
  return { jobs: of('job'), batches: of('batch'), keys: about.keys }
}

async function write(redis: Redis, line: z.output<typeof redisSchema>): Promise<void> {
  const { key, ttl } = line
  switch (line.type) {
    case 'string':
      await redis.set(key, line.value)
      break
    case 'hash':
      await redis.hset(key, line.value)
      break
    case 'list':
      await redis.rpush(key, ...line.value)
      break
    case 'set':
      await redis.sadd(key, ...line.value)
      break
    case 'zset': {
      const pairs = line.value.flatMap((member, i) => (i % 2 === 0 ? [line.value[i + 1] ?? '', member] : []))
      await redis.zadd(key, ...pairs)
      break
    }
    case 'stream':
      for (const [id, fields] of line.value) await redis.xadd(key, id, ...fields)
  }
  if (ttl >= 0) await redis.pexpire(key, Math.max(1, ttl))
}
