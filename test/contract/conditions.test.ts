import { Redis } from 'ioredis'
import { afterAll, expect, test } from 'vitest'
import { createRedisConditionBoard } from '../../src/shared/conditions/redis-condition-board.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())

const refused = { name: 'token_refused', since: 1000, detail: 'status 401' } as const
const silent = { name: 'webhooks_silent', since: 2000, detail: 'none' } as const

test('reports of each process replace those before; those of a process that ended are not believed, and go', async () => {
  const hash = `${freshPrefix()}:conditions`
  const board = createRedisConditionBoard(redis, hash, 60_000)
  expect(await board.read()).toEqual([])
  await board.report('a', [refused, silent])
  await board.report('b', [refused])
  await board.report('a', [silent])
  expect((await board.read()).toSorted((x, y) => x.process.localeCompare(y.process))).toEqual([
    { process: 'a', ...silent },
    { process: 'b', ...refused },
  ])
  await board.report('b', [])
  expect(await redis.hkeys(hash)).toEqual(['a'])

  const strict = createRedisConditionBoard(redis, hash, 50)
  await waitFor('the report to be too old', async () => (await strict.read()).length === 0)
  await strict.report('c', [refused])
  expect(await redis.hkeys(hash)).toEqual(['c'])
})

test('conditions of a newer release, and unreadable ones, are left out', async () => {
  const hash = `${freshPrefix()}:conditions`
  const board = createRedisConditionBoard(redis, hash, 60_000)
  await board.report('a', [silent])
  const [, value = ''] = Object.entries(await redis.hgetall(hash))[0] ?? []
  const now = value.slice(0, value.indexOf(' '))
  await redis.hset(hash, 'newer', `${now} ${JSON.stringify([{ ...silent, name: 'something_else' }])}`)
  await redis.hset(hash, 'broken', `${now} {`, 'empty', '')
  expect(await board.read()).toEqual([{ process: 'a', ...silent }])
})
