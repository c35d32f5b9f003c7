import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

import { Redis } from 'ioredis'
import { describe, expect, inject, it, onTestFinished } from 'vitest'

import { dataDirHolder, guardFile, lockDataDir } from '../../src/shared/redis/data-dir-lock.ts'
import { processIdentity } from '../../src/shared/redis/process-identity.ts'
import { provideRedis, runningRedisUrl, stopLeftoverRedis } from '../../src/shared/redis/provide-redis.ts'
import { launchRedis, probe, waitUntilReady } from '../../src/shared/redis/redis-process.ts'
import { freePort } from '../support/free-port.ts'
import { startOwnRedis } from '../support/redis.ts'
import { spawnNode, spawnProcess } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

const OWNER = join(import.meta.dirname, '../fixtures/redis-owner.ts')
const READY = /^ready (redis:\S+) adopted=(\w+)/

describe('a Redis of our own', () => {
  it('keeps what was written, and its port, from one run to the next', async () => {
    const dataDir = tempDir()
    const first = await provideRedis({ dataDir })
    expect(first.adopted).toBe(false)
    await withRedis(first.url, async (redis) => {
      await redis.set('job', 'accepted')
      const settings = await redis.info('persistence')
      expect(settings).toContain('aof_enabled:1')
      expect(await redis.config('GET', 'maxmemory-policy')).toContain('noeviction')
      expect(await redis.config('GET', 'bind')).toContain('127.0.0.1')
    })
    await first.stop()
    await first.stop()
    await expect(withRedis(first.url, (redis) => redis.ping())).rejects.toThrow(/closed|ECONNREFUSED/)

    const second = await provideRedis({ dataDir })
    expect(second).toMatchObject({ url: first.url, adopted: false })
    expect(await withRedis(second.url, (redis) => redis.get('job'))).toBe('accepted')
    await second.stop()
  })

  it('is adopted, data and all, after its owner was killed', async () => {
    const dataDir = tempDir()
    const first = spawnNode(OWNER, [dataDir])
    const [, url = ''] = await first.waitForLine(READY)
    await withRedis(url, (redis) => redis.set('job', 'accepted'))
    await first.kill('SIGKILL')

    const second = spawnNode(OWNER, [dataDir])
    const ready = await second.waitForLine(READY)
    expect(ready.slice(1, 3)).toEqual([url, 'true'])
    expect(await withRedis(url, (redis) => redis.get('job'))).toBe('accepted')

    // The one who adopted it also ends it.
    expect(await second.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    await expect(withRedis(url, (redis) => redis.ping())).rejects.toThrow(/closed|ECONNREFUSED/)
    expect(await dataDirHolder(dataDir)).toBeUndefined()
  })

  it('has a password, also one that an earlier release started without: adopted, it gets one', async () => {
    const dataDir = tempDir()
    const dir = join(dataDir, 'redis')
    mkdirSync(dir)
    const server = inject('redisServer')
    if (server === null) throw new Error('No redis-server was found')
    const port = await freePort()
    const old = await launchRedis({ server, dir, port })
    await waitUntilReady(old, port)
    const identity = await processIdentity(old.pid)
    writeFileSync(join(dir, 'instance.json'), JSON.stringify({ port, pid: old.pid, identity }))
    const before = `redis://127.0.0.1:${port}`
    expect(await runningRedisUrl(dataDir)).toBe(before)
    const client = new Redis(before)
    await client.set('job', 'accepted')

    const adopted = await provideRedis({ dataDir })
    expect(adopted).toMatchObject({ adopted: true, port })
    expect(adopted.url).toMatch(/^redis:\/\/:[0-9a-f]{64}@127\.0\.0\.1:\d+$/)
    expect(await runningRedisUrl(dataDir)).toBe(adopted.url)
    // Who was connected stays so; who comes later needs the password.
    expect(await client.get('job')).toBe('accepted')
    client.disconnect()
    expect(await probe(port)).toEqual({ answers: false, refused: true })
    expect(await withRedis(adopted.url, (redis) => redis.get('job'))).toBe('accepted')
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, 'redis.conf')).mode & 0o777).toBe(0o600)

    const password = readFileSync(join(dir, 'redis.conf'))
    rmSync(join(dir, 'redis.conf'))
    await expect(provideRedis({ dataDir })).rejects.toThrow(/refuses the password in .*redis\.conf/)
    writeFileSync(join(dir, 'redis.conf'), password)
    await adopted.stop()
    const again = await provideRedis({ dataDir })
    expect(again).toMatchObject({ adopted: false, url: adopted.url })
    expect(await withRedis(again.url, (redis) => redis.get('job'))).toBe('accepted')
    await again.stop()
  })

  it('of an earlier release is ended too, when its owner is gone', async () => {
    const dataDir = tempDir()
    const redis = await startOwnRedis({ dataDir })
    const identity = await processIdentity(redis.pid)
    const instance = { port: redis.port, pid: redis.pid, identity }
    writeFileSync(join(dataDir, 'redis', 'instance.json'), JSON.stringify(instance))
    expect(await stopLeftoverRedis(dataDir)).toBe(true)
    expect(await processIdentity(redis.pid)).toBeUndefined()
  })

  it('takes another port when its previous one is in use', async () => {
    const dataDir = tempDir()
    const first = await provideRedis({ dataDir })
    await withRedis(first.url, (redis) => redis.set('job', 'accepted'))
    await first.stop()
    const stranger = createServer().listen(Number(new URL(first.url).port), '127.0.0.1')
    onTestFinished(() => void stranger.close())

    const second = await provideRedis({ dataDir })
    expect(second.url).not.toBe(first.url)
    expect(await withRedis(second.url, (redis) => redis.get('job'))).toBe('accepted')
    await second.stop()
  })

  it('never starts a second server beside a silent one', async () => {
    const dataDir = tempDir()
    const redis = await provideRedis({ dataDir })
    const pid = await processId(redis.url)
    process.kill(pid, 'SIGSTOP')
    try {
      await expect(provideRedis({ dataDir, patience: 200 })).rejects.toThrow(`Redis (pid ${pid}`)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await redis.stop()
  })

  it('is started again when it dies, on the same port and files', async () => {
    const dataDir = tempDir()
    const said: string[] = []
    const redis = await provideRedis({ dataDir, onProgress: (message) => said.push(message) })
    const pid = await processId(redis.url)
    await withRedis(redis.url, (client) => client.set('job', 'accepted'))
    process.kill(pid, 'SIGKILL')
    const next = await waitFor('another life', () => processId(redis.url).then((found) => found !== pid && found))
    expect(await withRedis(redis.url, (client) => client.get('job'))).toBe('accepted')
    await waitFor('the news', () => said.includes('Redis had exited and was restarted'))

    await redis.stop()
    expect(await processIdentity(next)).toBeUndefined()
  })

  it('can be ended when its owner is gone', async () => {
    const dataDir = tempDir()
    const owner = spawnNode(OWNER, [dataDir])
    const [, url = ''] = await owner.waitForLine(READY)
    await owner.kill('SIGKILL')
    expect(await stopLeftoverRedis(dataDir)).toBe(true)
    expect(await stopLeftoverRedis(dataDir)).toBe(false)
    await expect(withRedis(url, (redis) => redis.ping())).rejects.toThrow(/closed|ECONNREFUSED/)
  })

  it('refuses a named server that is not one, or is too old, and says which', async () => {
    const folder = tempDir()
    await expect(provideRedis({ dataDir: folder, redisServerBin: '/nowhere/redis-server' })).rejects.toThrow(
      'REDIS_SERVER_BIN=/nowhere/redis-server',
    )
    const old = fakeServer(folder, '6.2.14')
    await expect(provideRedis({ dataDir: folder, redisServerBin: old })).rejects.toThrow('version 6.2.14')
  })

  it('skips an installed server that is too old, and names the cures when nothing can be had', async () => {
    const folder = tempDir()
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    const old = fakeServer(bin, '6.2.14')
    const said: string[] = []
    // A PATH without apt-get and docker: nothing can be unpacked or run.
    const options = { dataDir: folder, cacheDir: join(folder, 'cache'), env: { PATH: bin } }
    const outcome = await provideRedis({ ...options, onProgress: (message) => said.push(message) }).catch(
      (error: unknown) => error,
    )
    expect(said.join('\n')).toContain(`${old} is version 6.2.14: skipped`)
    // Where the machine has one in a well-known place, that one serves.
    if (outcome instanceof Error) {
      for (const cure of ['docker compose up', 'REDIS_URL', 'REDIS_SERVER_BIN']) expect(outcome.message).toContain(cure)
    } else {
      expect(outcome).toMatchObject({ embedded: true })
      await stopLeftoverRedis(folder)
    }
  })
})

describe('the lock of the data folder', () => {
  it('is held by one process, whose pid the second one hears', async () => {
    const dataDir = tempDir()
    const owner = spawnNode(OWNER, [dataDir])
    await owner.waitForLine(READY)
    expect(await dataDirHolder(dataDir)).toBe(owner.pid)
    await expect(lockDataDir(dataDir)).rejects.toThrow(`${dataDir} is in use by process ${owner.pid}`)

    const second = spawnNode(OWNER, [dataDir])
    expect((await second.exited).code).not.toBe(0)
    expect(second.stderr).toContain(`process ${owner.pid}`)

    await owner.kill('SIGTERM')
    const lock = await lockDataDir(dataDir)
    await lock.release()
  })

  it('is taken over from a process that was killed, and from another program with the same pid', async () => {
    const dataDir = tempDir()
    const stranger = spawnProcess('sleep', ['60'])
    for (const holder of [
      { pid: 2 ** 22 + 1, identity: 'gone' },
      { pid: stranger.pid, identity: 'an earlier life of this pid' },
    ]) {
      writeFileSync(join(dataDir, 'genqueue.lock'), JSON.stringify(holder))
      const lock = await lockDataDir(dataDir)
      expect(await dataDirHolder(dataDir)).toBe(process.pid)
      await lock.release()
    }
    writeFileSync(join(dataDir, 'genqueue.lock'), 'half a l')
    await (await lockDataDir(dataDir)).release()
    expect(existsSync(join(dataDir, 'genqueue.lock'))).toBe(false)
    expect(readdirSync(dataDir)).toEqual([])
  })

  it('goes to exactly one of many who come at once, stale lock or none', async () => {
    const dataDir = tempDir()
    for (let round = 0; round < 20; round++) {
      const isStale = round % 4 !== 0
      if (isStale) writeFileSync(join(dataDir, 'genqueue.lock'), JSON.stringify({ pid: 2 ** 22 + 1, identity: 'gone' }))
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, async (_, i) => {
          // Some look at the stale lock while others have removed it already.
          for (let turn = 0; turn < i; turn++) await setImmediate()
          return lockDataDir(dataDir)
        }),
      )
      const winners = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      expect(winners).toHaveLength(1)
      await winners[0]?.release()
      expect(readdirSync(dataDir)).toEqual([])
    }
  })

  it('is taken over although a process died while it did the same', async () => {
    const dataDir = tempDir()
    const file = join(dataDir, 'genqueue.lock')
    const stale = JSON.stringify({ pid: 2 ** 22 + 1, identity: 'gone' })
    writeFileSync(file, stale)
    writeFileSync(guardFile(file, stale), JSON.stringify({ pid: 2 ** 22 + 2, identity: 'gone too' }))
    const lock = await lockDataDir(dataDir)
    await lock.release()
    expect(readdirSync(dataDir)).toEqual([])
  })
})

describe('the identity of a process', () => {
  it('is the same for one life and gone after it', async () => {
    const child = spawnProcess('sleep', ['60'])
    const identity = await processIdentity(child.pid)
    expect(identity).toBeTruthy()
    expect(await processIdentity(child.pid)).toBe(identity)
    await child.kill('SIGKILL')
    expect(await processIdentity(child.pid)).toBeUndefined()
  })
})

async function withRedis<T>(url: string, talk: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await talk(redis)
  } finally {
    redis.disconnect()
  }
}

async function processId(url: string): Promise<number> {
  const info = await withRedis(url, (redis) => redis.info('server'))
  return Number(/process_id:(\d+)/.exec(info)?.[1])
}

function fakeServer(folder: string, version: string): string {
  const file = join(folder, 'redis-server')
  writeFileSync(file, `#!/bin/sh\necho "Redis server v=${version} sha=00000000:0 malloc=libc bits=64 build=0"\n`)
  chmodSync(file, 0o755)
  return file
}
