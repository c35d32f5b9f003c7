import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { inject } from 'vitest'

import {
  type RedisProcess,
  containerName,
  launchRedis,
  shutdownRedis,
  waitUntilReady,
} from '../../src/shared/redis/redis-process.ts'
import { afterFile } from './after-file.ts'
import { freePort } from './free-port.ts'
import { tempDir } from './temp-dir.ts'

/** The Redis that all test files share. */
export function testRedisUrl(): string {
  return inject('redisUrl')
}

/** A key prefix that no other test file has. */
export function freshPrefix(): string {
  return `t${randomBytes(6).toString('hex')}`
}

export interface OwnRedis {
  readonly url: string
  readonly dataDir: string
  readonly port: number
  /** Of the present life; a new one after `start()`. */
  readonly pid: number
  /** SHUTDOWN: files written. */
  stop(): Promise<void>
  /** SIGKILL: as in a crash. */
  kill(): Promise<void>
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void
  resume(): void
  /** Again, on the same port and files. */
  start(): Promise<void>
}

/** A Redis that belongs to one test, which may kill it. It ends with the test file at the latest. */
export async function startOwnRedis(options: { extraFlags?: string[]; dataDir?: string } = {}): Promise<OwnRedis> {
  const server = inject('redisServer')
  if (server === null) throw new Error('This test starts its own Redis, but no redis-server or Docker engine was found')
  const dataDir = options.dataDir ?? tempDir()
  const dir = join(dataDir, 'redis')
  mkdirSync(dir, { recursive: true })
  const port = await freePort()
  let redis: RedisProcess
  let running = false

  const start = async () => {
    redis = await launchRedis({
      server,
      dir,
      port,
      // Ctrl-C at the tests ends it too.
      detached: false,
      extraFlags: ['--enable-debug-command', 'local', ...(options.extraFlags ?? [])],
    })
    running = true
    const life = redis
    void life.ended.then(() => (running = running && life !== redis))
    await waitUntilReady(redis, port)
  }
  const signal = (name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') => {
    if (!running) return
    if (server.kind === 'binary') signalProcess(redis.pid, name)
    else execFileSync('docker', [{ SIGKILL: 'kill', SIGSTOP: 'pause', SIGCONT: 'unpause' }[name], containerName(dir)])
  }
  afterFile(() => signal('SIGKILL'))

  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    dataDir,
    port,
    get pid() {
      return redis.pid
    },
    async stop() {
      if (!running) return
      await shutdownRedis(port)
      await redis.ended
    },
    async kill() {
      if (!running) return
      signal('SIGKILL')
      await redis.ended
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    start,
  }
}

/** A process that has just ended takes no signal; `ended` resolves a little later. */
function signalProcess(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
