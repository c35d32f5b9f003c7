import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { Redis } from 'ioredis'
import { expect, test, vi } from 'vitest'
import { sendEvents } from '../../src/api/send-events.ts'
import { startEventHub, type JobChange } from '../../src/shared/events/event-hub.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { freshPrefix, startOwnRedis, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const log = createLogger({ level: 'silent', readable: false })

async function hubOn(url: string, silence?: number) {
  const keys = createJobKeys(freshPrefix())
  const connections = [new Redis(url), new Redis(url), new Redis(url)] as const
  for (const one of connections) one.on('error', () => undefined)
  const [reader, subscriber, redis] = connections
  const onUnreadable = vi.fn<() => void>()
  const hub = await startEventHub({
    reader,
    subscriber,
    redis,
    keys,
    onUnreadable,
    log,
    ...(silence === undefined ? {} : { silence }),
  })
  const seen: JobChange[] = []
  const all: JobChange[] = []
  hub.onTenant('t', (change) => void seen.push(change))
  hub.onTenant(null, (change) => void all.push(change))
  const stop = async (): Promise<void> => {
    await hub.stop()
    redis.disconnect()
  }
  return { hub, keys, redis, seen, all, onUnreadable, stop }
}

test('an unreadable event is skipped and counted, and the rest is delivered', async () => {
  const { hub, keys, redis, seen, all, onUnreadable, stop } = await hubOn(testRedisUrl())
  const entry = (job: string) => redis.xadd(keys.events, '*', 'job', job, 'tenant', 't')
  const first = await entry('a')
  await redis.xadd(keys.events, '*', 'nothing', 'of ours')
  await redis.publish(keys.progress, '{ broken')
  await redis.publish(keys.progress, JSON.stringify({ job: 'p', tenant: 't' }))
  await entry('b')
  await waitFor('the last change', () => ['a', 'b', 'p'].every((job) => seen.some((change) => change.job === job)))
  expect(onUnreadable).toHaveBeenCalledTimes(2)
  expect((await hub.since('t', first ?? ''))?.map(({ job }) => job)).toEqual(['b'])
  const other = await redis.xadd(keys.events, '*', 'job', 'c', 'tenant', 'another')
  expect((await hub.since(null, first ?? ''))?.map(({ job }) => job)).toEqual(['b', 'c'])
  expect(await hub.since('t', other ?? '')).toEqual([])
  await waitFor('the newest', () => hub.seen() === other)
  expect([all.some(({ job }) => job === 'c'), seen.some(({ job }) => job === 'c')]).toEqual([true, false])
  // Ids that the stream no longer has, and that it has not reached: of data that were lost.
  expect([await hub.since('t', '1-0'), await hub.since('t', '999999999999999-0')]).toEqual([null, null])
  await redis.xadd(keys.events, '*', 'the newest', 'is none')
  expect(await hub.position()).toMatch(/^\d+-\d+$/)
  await stop()
})

test('a Redis that hangs is noticed, and once', async () => {
  const own = await startOwnRedis()
  const { hub, stop } = await hubOn(own.url, 6000)
  const silenced = vi.fn<() => void>()
  hub.onSilence(silenced)
  own.pause()
  await waitFor('the silence', () => silenced.mock.calls.length > 0)
  expect(silenced).toHaveBeenCalledTimes(1)
  expect(hub.isSilent()).toBe(true)
  own.resume()
  await waitFor('the end of the silence', () => !hub.isSilent())
  await stop()
  await own.kill()
})

test('the answer of a reader that has left is held by nothing', async () => {
  const app = express()
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const left = vi.fn<() => void>()
  app.get('/', (_request, response) => sendEvents(response, () => left))
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const request = get(`http://127.0.0.1:${port}/`)
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => undefined)
  await once(response, 'data')
  request.destroy()
  await waitFor('the stream to be over', () => left.mock.calls.length > 0)
  expect(timers.mock.calls.filter(([, ms]) => ms === 60_000)).toEqual([])
  timers.mockRestore()
  server.close()
})
