import { Redis } from 'ioredis'
import { afterAll, describe, expect, it } from 'vitest'

import { freshPrefix, startOwnRedis, testRedisUrl } from '../support/redis.ts'

describe('Redis for tests', () => {
  const clients: Redis[] = []
  const connect = (url: string) => {
    const client = new Redis(url, { maxRetriesPerRequest: null })
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  afterAll(() => clients.forEach((client) => client.disconnect()))

  it('shares one that keeps everything it is given', async () => {
    const redis = connect(testRedisUrl())
    const key = `${freshPrefix()}:key`
    await redis.set(key, 'value')
    expect(await redis.get(key)).toBe('value')
    expect(await redis.config('GET', 'maxmemory-policy')).toContain('noeviction')
    await redis.del(key)
  })

  it('gives a test its own, which survives a kill and a pause', async () => {
    const own = await startOwnRedis()
    const redis = connect(own.url)
    await redis.set('kept', 'yes')
    const firstLife = own.pid

    await own.kill()
    await own.start()
    expect(await redis.get('kept')).toBe('yes')
    expect(own.pid).not.toBe(firstLife)

    own.pause()
    const asked = redis.get('kept')
    own.resume()
    expect(await asked).toBe('yes')
    await own.stop()
  })

  it('hides the developer’s settings from the tests', () => {
    expect(process.env['REDIS_URL']).toBeUndefined()
    expect(process.env['REPLICATE_API_TOKEN']).toBeUndefined()
  })
})
