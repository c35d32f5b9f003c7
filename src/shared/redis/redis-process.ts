import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { Redis } from 'ioredis'

import { type RedisServer, serverEnv } from './find-redis-server.ts'

export interface LaunchOptions {
  server: RedisServer
  /** Absolute, existing, its real path: Redis answers with it when asked whose it is. */
  dir: string
  port: number
  /** In a process group of its own (the default), so that Ctrl-C does not reach it before the workers have closed. */
  detached?: boolean
  extraFlags?: string[]
  env?: NodeJS.ProcessEnv
}

export interface RedisProcess {
  pid: number
  /** Settles when the process has ended, with the last words of its log. */
  ended: Promise<string>
}

/** Starts Redis; call `waitUntilReady` next. */
export async function launchRedis(options: LaunchOptions): Promise<RedisProcess> {
  const { server, dir, port } = options
  const flags = Object.entries({
    '--dir': dir,
    '--port': String(port),
    '--appendonly': 'yes',
    '--appendfsync': 'everysec',
    '--save': '',
    '--maxmemory-policy': 'noeviction',
  })
    .flat()
    .concat(options.extraFlags ?? [])
  const [file, args, env] =
    server.kind === 'binary'
      ? [server.file, ['--bind', '127.0.0.1', ...flags], serverEnv(server.libraryPath)]
      : ['docker', dockerArgs(server.image, dir, port, flags), options.env]

  const log = join(dir, 'redis.log')
  const output = openSync(log, 'w')
  try {
    // Redis's own folder as the current one: it must not hold the caller's.
    const child = spawn(file, args, {
      cwd: dir,
      detached: options.detached ?? true,
      stdio: ['ignore', output, output],
      ...(env && { env }),
    })
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', () => resolve(lastWords(log)))
    })
    child.unref()
    if (child.pid === undefined) throw new Error(`Redis could not be started: ${await ended}`)
    return { pid: child.pid, ended }
  } finally {
    closeSync(output)
  }
}

/** The container sees the folder under the same path, so `CONFIG GET dir` means the same there. */
function dockerArgs(image: string, dir: string, port: number, flags: string[]): string[] {
  const run = Object.entries({
    '--name': containerName(dir),
    '--volume': `${dir}:${dir}`,
    '--publish': `127.0.0.1:${port}:${port}`,
    '--entrypoint': 'redis-server',
    // The files in the folder stay ours.
    ...(process.getuid && process.getgid && { '--user': `${process.getuid()}:${process.getgid()}` }),
  }).flat()
  return ['run', '--rm', ...run, image, '--bind', '0.0.0.0', '--protected-mode', 'no', ...flags]
}

/** One name for one folder: Docker itself refuses a second server on it. */
export function containerName(dir: string): string {
  return `genqueue-redis-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`
}

async function lastWords(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-3).join('\n')
}

/** Waits until Redis has read its files and answers; rejects when it ends before, or stays silent for half a minute. */
export async function waitUntilReady(process: RedisProcess, port: number): Promise<void> {
  let over: string | undefined
  void process.ended.then((words) => (over = words || 'it said nothing'))
  let silentSince = performance.now()
  for (;;) {
    const state = await probe(port)
    if (state.answers && !state.loading) return
    if (over !== undefined) throw new Error(`Redis ended as it started: ${over}`)
    // Reading a long append-only file takes its time, and Redis says so.
    if (state.answers) silentSince = performance.now()
    if (performance.now() - silentSince > 30_000)
      throw new Error(`Redis (pid ${process.pid}) does not answer on port ${port}`)
    await delay(20)
  }
}

export type RedisProbe = { answers: false } | { answers: true; loading: boolean; dir: string }

/** Who answers on this port of this machine? */
export async function probe(port: number): Promise<RedisProbe> {
  const answer = await withRedis(port, async (redis) => {
    const dir = await redis.config('GET', 'dir')
    const ready = await redis.ping().then(
      () => true,
      () => false,
    )
    return { dir: configValue(dir), ready }
  })
  return answer === undefined ? { answers: false } : { answers: true, loading: !answer.ready, dir: answer.dir ?? '' }
}

/** Asks Redis to write its files and end. Its answer is the closed connection, so there is nothing to wait for here. */
export async function shutdownRedis(port: number): Promise<void> {
  await withRedis(port, (redis) => redis.shutdown())
}

/** One short conversation; `undefined` when nobody answers, or not in our language. */
async function withRedis<T>(port: number, talk: (redis: Redis) => Promise<T>): Promise<T | undefined> {
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
    retryStrategy: () => null,
  })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await talk(redis)
  } catch {
    return undefined
  } finally {
    redis.disconnect()
  }
}

/** `CONFIG GET` answers with a list in RESP2 and a map in RESP3. */
function configValue(reply: unknown): string | undefined {
  if (Array.isArray(reply)) return typeof reply[1] === 'string' ? reply[1] : undefined
  if (reply instanceof Map) return configValue([...reply].flat())
  return typeof reply === 'object' && reply !== null ? configValue(Object.entries(reply).flat()) : undefined
}

/** A port that nobody listens on: the wished one if it is free. */
export async function freePort(wished = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => (wished === 0 ? reject(error) : resolve(freePort())))
    server.listen({ port: wished, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
