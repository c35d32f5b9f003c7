import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createGeneration, type Generation } from '../../src/shared/redis/generation.ts'
import { freshPrefix, startOwnRedis, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

/** Which changes of Redis's memory are another generation, and which are not. */

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const ATTENDED = 60_000

let key: string
beforeEach(() => {
  key = `${freshPrefix()}:generation`
})
const worker = (gap: number | null = ATTENDED): Generation => createGeneration(redis, key, { gap })

async function opened(): Promise<{ generation: Generation; id: string }> {
  const generation = worker()
  const { id, open } = await generation.look()
  expect(open.size).toBe(0)
  expect(await generation.open(redis, id, 'default')).toBe(true)
  expect(await generation.look()).toEqual({ id, open: new Set(['default']), lostAgo: null, cause: 'first' })
  return { generation, id }
}

describe('the generation stays open', () => {
  // On a Redis of its own: other test files count on their scripts.
  test.each(['SCRIPT FLUSH', 'CONFIG RESETSTAT'])('through %s', async (command) => {
    const own = await startOwnRedis()
    const alone = new Redis(own.url)
    const generation = createGeneration(alone, key, { gap: ATTENDED })
    const { id } = await generation.look()
    expect(await generation.open(alone, id, 'default')).toBe(true)
    const [name = '', ...args] = command.split(' ')
    await alone.call(name, ...args)
    expect(await generation.look()).toMatchObject({ id, open: new Set(['default']) })
    alone.disconnect()
    await own.stop()
  })

  test('for a process that is new, or comes back after others went on', async () => {
    const { id } = await opened()
    expect(await worker().look()).toMatchObject({ id, open: new Set(['default']) })
    expect(await worker(null).look()).toMatchObject({ id, open: new Set(['default']) })
  })

  test('when only a tool beside the deployment looks: it says nothing about whether anybody attends', async () => {
    const { id } = await opened()
    await redis.hset(key, 'seen', Date.now() - 2 * ATTENDED)
    expect(await worker(null).look()).toMatchObject({ id, open: new Set(['default']) })
  })
})

describe('a new generation begins, and is closed', () => {
  test('when no process looked at the memory for long, or its clock was set back', async () => {
    for (const ahead of [-2 * ATTENDED, 2 * ATTENDED]) {
      const { generation, id } = await opened()
      await redis.hset(key, 'seen', Date.now() + ahead)
      const next = await generation.look()
      expect(next).toEqual({ id: expect.not.stringMatching(id), open: new Set(), lostAgo: null, cause: 'unattended' })
      expect(await generation.look()).toEqual(next)
      expect(await generation.open(redis, id, 'default')).toBe(false)
      await redis.del(key)
    }
  })

  test('as a first one, as long as no gate was opened: nothing was created yet', async () => {
    const generation = worker()
    await generation.look()
    await redis.hset(key, 'replid', randomBytes(20).toString('hex'))
    expect(await generation.look()).toMatchObject({ open: new Set(), cause: 'first' })
  })

  test('when a server with an open gate did not know a script', async () => {
    const { generation } = await opened()
    generation.doubt()
    expect(await generation.look()).toMatchObject({ open: new Set(), cause: 'scripts' })
  })

  test('when the server draws another replication id', async () => {
    const { generation, id } = await opened()
    await redis.hset(key, 'replid', randomBytes(20).toString('hex'))
    expect(await generation.open(redis, id, 'default')).toBe(false)
    expect(await generation.look()).toMatchObject({
      id: expect.not.stringMatching(id),
      open: new Set(),
      lostAgo: null,
      cause: 'restarted',
    })
  })

  test('when the scripts of an open one are forgotten, once for all who find out', async () => {
    const { generation } = await opened()
    const other = worker()
    await other.look()
    generation.doubt()
    other.doubt()
    const next = await generation.look()
    expect(next.open.size).toBe(0)
    expect(await other.look()).toEqual(next)
    // While it is closed, an unknown script is nothing new.
    generation.doubt()
    expect(await generation.look()).toEqual(next)
  })

  test('when the memory goes back behind what any process knows; the others come along', async () => {
    const { id } = await opened()
    const before = await redis.dumpBuffer(key)
    const [one, two] = [worker(), worker()]
    await redis.hset(key, 'replid', randomBytes(20).toString('hex'))
    const later = await one.look()
    await two.look()
    await one.open(redis, later.id, 'default')
    await redis.restore(key, 0, before ?? '', 'REPLACE')
    const found = await one.look()
    expect(found).toMatchObject({ open: new Set(), lostAgo: 0, cause: 'lost' })
    expect([id, later.id]).not.toContain(found.id)
    expect((await two.look()).id).toBe(found.id)
    expect((await worker().look()).id).toBe(found.id)
    expect((await one.look()).lostAgo).toBeGreaterThanOrEqual(0)
    await one.open(redis, found.id, 'default')
    expect(await two.look()).toEqual({ id: found.id, open: new Set(['default']), lostAgo: null, cause: 'lost' })
  })

  test('when Redis is restarted, with or without its data', async () => {
    const own = await startOwnRedis()
    const client = new Redis(own.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    client.on('error', () => undefined)
    const generation = createGeneration(client, key, { gap: ATTENDED })
    const { id } = await generation.look()
    await generation.open(client, id, 'default')
    expect(generation.showsReplication()).toBe(true)
    await client.debug('RELOAD')
    expect(await generation.look()).toMatchObject({ id, open: new Set(['default']) })
    await own.stop()
    await own.start()
    expect(await generation.look()).toMatchObject({
      id: expect.not.stringMatching(id),
      open: new Set(),
      lostAgo: null,
      cause: 'restarted',
    })
    client.disconnect()
    await own.stop()
  })
})

test('a user who may not ask for the replication id keeps the generation of those who may', async () => {
  const { generation, id } = await opened()
  const name = freshPrefix()
  await redis.acl('SETUSER', name, 'on', '>secret', '~*', '+@all', '-info')
  // Credentials in a URL win over those of the options.
  const { hostname: host, port } = new URL(testRedisUrl())
  const blind = new Redis({ host, port: Number(port), username: name, password: 'secret', enableReadyCheck: false })
  const unseen = createGeneration(blind, key, { gap: ATTENDED })
  expect(await unseen.look()).toMatchObject({ id, open: new Set(['default']) })
  expect(unseen.showsReplication()).toBe(false)
  expect(await generation.look()).toMatchObject({ id, open: new Set(['default']) })
  blind.disconnect()
  await redis.acl('DELUSER', name)
})

test('the gate does not open on a replica', async () => {
  const [primary, follower] = [
    await startOwnRedis({ extraFlags: ['--repl-diskless-sync-delay', '0'] }),
    await startOwnRedis({ extraFlags: ['--replica-read-only', 'no'] }),
  ]
  const [onPrimary, onFollower] = [new Redis(primary.url), new Redis(follower.url)]
  const generation = createGeneration(onPrimary, key, { gap: ATTENDED })
  await onFollower.replicaof('127.0.0.1', primary.port)
  // With its first replica a primary draws another replication id.
  await waitFor('the link', async () => (await onFollower.info('replication')).includes('master_link_status:up'))
  const { id } = await generation.look()
  await waitFor('the replica', async () => (await onFollower.hget(key, 'id')) === id)
  expect(await generation.isHeldBy(onFollower, id)).toBe(false)
  expect(await generation.isHeldBy(onPrimary, id)).toBe(true)
  onPrimary.disconnect()
  onFollower.disconnect()
  await Promise.all([primary.kill(), follower.kill()])
})
