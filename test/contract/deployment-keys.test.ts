import { Redis } from 'ioredis'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createTickets } from '../../src/api/tickets.ts'
import { createArtifactLinks } from '../../src/shared/artifacts/rules/artifact-links.ts'
import { createLastingLinks } from '../../src/shared/artifacts/rules/lasting-links.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import {
  findDeployment,
  followKeys,
  loadDeployment,
  rotateDeploymentKey,
  rotateLinkKey,
  ROTATION_MS,
  type Deployment,
} from '../../src/shared/redis/deployment.ts'
import { createWebhookTokens, type WebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { createJobTokens } from '../../src/shared/tenants/rules/job-token.ts'
import { freshPrefix, startOwnRedis, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

let hash: string
let deployment: Deployment
beforeEach(async () => {
  hash = `${freshPrefix()}:deployment`
  deployment = await loadDeployment(redis, hash)
})

const tokensOf = ({ id, keys }: Deployment): WebhookTokens =>
  createWebhookTokens({ deployment: id, keys, publicUrl: () => null })

/** Another process, as it starts now. */
const another = async (): Promise<Deployment> => {
  const found = await findDeployment(redis, hash)
  if (!found) throw new Error('there is no deployment')
  return found
}
/** Dates the last rotation that far back. */
const rotatedAgo = (ms: number) => redis.hset(hash, 'rotated_at', String(Date.now() - ms))
const rotate = (force = false) => rotateDeploymentKey(redis, hash, { force })
const makes = ({ keys }: Deployment): string => keys.maker().toString('base64url')

describe('a rotation', () => {
  test('gives a new key, keeps the one before, and leaves the deployment what it is', async () => {
    const first = makes(deployment)
    expect(await rotate()).toEqual({ left: 0 })
    const [key, previous] = await redis.hmget(hash, 'key', 'previous_key')
    expect(previous).toBe(first)
    expect(key).not.toBe(first)
    expect((await another()).id).toBe(deployment.id)
    expect((await loadDeployment(redis, hash)).keys.accepted().map((one) => one.toString('base64url'))).toEqual([
      key,
      first,
    ])
  })

  test('is refused while predictions may carry tokens of the key before, unless it is forced', async () => {
    await rotate()
    const before = await redis.hgetall(hash)
    const { left } = await rotate()
    expect(left).toBeGreaterThan(ROTATION_MS - 60_000)
    expect(left).toBeLessThanOrEqual(ROTATION_MS)
    expect(await redis.hgetall(hash)).toEqual(before)
    await rotatedAgo(ROTATION_MS + 1)
    expect(await rotate()).toEqual({ left: 0 })
    expect(await rotate(true)).toEqual({ left: 0 })
  })

  test('of a deployment that does not exist makes none', async () => {
    await expect(rotateDeploymentKey(redis, `${hash}:other`, { force: false })).rejects.toThrow('no deployment')
    expect(await redis.exists(`${hash}:other`)).toBe(0)
  })
})

describe('the key of lasting links', () => {
  const ID = 'art_1'
  const FILE = { key: 'a', media_type: 'image/png', bytes: 1, sha256: 'x', name: 'a.png', tenant: 'acme' }
  const linkOf = ({ linkKeys }: Deployment) =>
    new URL(createLastingLinks(linkKeys).path(ID, '', FILE), 'http://x').searchParams
  const opens = async ({ linkKeys }: Deployment, link: URLSearchParams): Promise<boolean> =>
    (await createLastingLinks(linkKeys).read(ID, '', link.get('file') ?? '', link.get('signature') ?? '')) !== null

  test('is not touched by a rotation of the others', async () => {
    const link = linkOf(deployment)
    await rotate()
    await rotate(true)
    expect(await opens(await another(), link)).toBe(true)
  })

  test('is rotated in two steps: what any process makes meanwhile lasts, and what was made before ends', async () => {
    const before = linkOf(deployment)
    const during: URLSearchParams[] = []
    await rotateLinkKey(redis, hash, {
      now: false,
      pause: async (ms) => {
        // As if the time had passed: a process that knows the new key makes links with it then.
        await redis.hincrby(hash, 'link_rotated_at', -ms)
        const knows = await another()
        during.push(linkOf(knows))
        expect(await opens(knows, before)).toBe(true)
        await deployment.linkKeys.refresh({ now: true })
        during.push(linkOf(deployment))
        for (const link of during) expect(await opens(deployment, link)).toBe(true)
      },
    })
    await deployment.linkKeys.refresh({ now: true })
    for (const process of [deployment, await another()]) {
      expect(await opens(process, before)).toBe(false)
      for (const link of during) expect(await opens(process, link)).toBe(true)
    }
    expect(during).toHaveLength(2)
  })

  test('makes links with the old one while another process may not know the new one', async () => {
    const late = deployment
    await rotateLinkKey(redis, hash, {
      now: false,
      pause: async () => expect(await opens(late, linkOf(await another()))).toBe(true),
    })
  })

  test('ends them at once when that is asked for; a deployment that does not exist gets none', async () => {
    const link = linkOf(deployment)
    await rotateLinkKey(redis, hash, { now: true, pause: () => Promise.reject(new Error('no wait expected')) })
    expect(await opens(await another(), link)).toBe(false)
    const nobody = { now: true, pause: () => Promise.resolve() }
    await expect(rotateLinkKey(redis, `${hash}:other`, nobody)).rejects.toThrow('no deployment')
    expect(await redis.exists(`${hash}:other`)).toBe(0)
  })
})

describe('what was signed', () => {
  test('before a rotation counts after it, and not after a second one', async () => {
    const token = new URL(tokensOf(deployment).url('job_1', 1)).searchParams.get('token') ?? ''
    const link = new URL(createArtifactLinks(deployment.keys).path('art_1'), 'http://x').searchParams
    const ticket = createTickets(deployment.keys).issue('studio', 'dev', 60)
    const grant = createJobTokens(deployment.keys).issue({ subject: 'job_1', holder: 'dev', expires: 1 })
    const counts = async () => {
      const { keys, ...rest } = await another()
      return [
        tokensOf({ keys, ...rest }).valid('job_1', 1, token),
        createArtifactLinks(keys).valid('art_1', link.get('expires') ?? '', link.get('signature') ?? ''),
        createTickets(keys).read('studio', ticket) !== null,
        createJobTokens(keys).read(grant) !== null,
      ]
    }
    await rotate()
    expect(await counts()).toEqual([true, true, true, true])
    await rotate(true)
    expect(await counts()).toEqual([false, false, false, false])
  })

  test('by any process counts in every other, at any moment around a rotation', async () => {
    const late = await another()
    await rotate()
    const [known, started] = [deployment, await another()]
    await known.keys.refresh({ now: true })
    // The new key makes nothing yet: one that has not looked again would not know it.
    for (const maker of [known, started]) {
      const url = tokensOf(maker).url('job_1', 1)
      expect(tokensOf(late).read(url)).toEqual({ job: 'job_1', attempt: 1, account: 'default' })
    }
    await rotatedAgo(10_001)
    await known.keys.refresh({ now: true })
    const url = tokensOf(known).url('job_1', 1)
    expect(tokensOf(late).read(url)).toBeNull()
    await late.keys.refresh({ now: true })
    expect(tokensOf(late).read(url)).toEqual({ job: 'job_1', attempt: 1, account: 'default' })
    expect(makes(late)).toBe(await redis.hget(hash, 'key'))
  })
})

describe('a process', () => {
  test('knows a new key within seconds, without being asked', async () => {
    const stop = followKeys(deployment, createLogger({ level: 'silent', readable: false }))
    await rotate()
    await rotatedAgo(60_000)
    const key = await redis.hget(hash, 'key')
    await waitFor('the new key to make signatures', () => makes(deployment) === key)
    stop()
  })

  test('asks again for a signature that it does not know, but not each time', async () => {
    let asked = 0
    const counted = new Proxy(redis, {
      get(target, name: keyof Redis) {
        if (name === 'multi') asked++
        const value: unknown = target[name]
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const found = await findDeployment(counted, hash)
    for (let i = 0; i < 10; i++) await found?.keys.refresh()
    expect(asked).toBe(1)
    await found?.keys.refresh({ now: true })
    expect(asked).toBe(2)
  })

  test('keeps its keys when Redis has lost them, and reports an unknown state while Redis is away', async () => {
    const own = await startOwnRedis()
    const client = new Redis(own.url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, lazyConnect: true })
    client.on('error', () => undefined)
    await client.connect()
    const { keys } = await loadDeployment(client, hash)
    const key = keys.maker()
    await client.flushall()
    await keys.refresh({ now: true })
    expect(keys.maker()).toEqual(key)
    await client.hset(hash, { id: 'depother', key: 'AAAA' })
    await keys.refresh({ now: true })
    expect(keys.accepted()).toEqual([key])
    await own.kill()
    await expect(keys.refresh({ now: true })).rejects.toThrow()
    client.disconnect()
  })
})
