import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Redis } from 'ioredis'
import { startAnswerers } from '../../src/api/front/answerers.ts'
import { createSentAgain } from '../../src/api/front/sent-again.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import { createRedisAnswering } from '../../src/shared/jobs/indexes/redis-answering.ts'
import type { Answering } from '../../src/shared/jobs/rules/answering.ts'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import type { AnsweringIndex, DeadAnswerers } from '../../src/shared/jobs/ports.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

let redis: Redis
let keys: JobKeys
let index: AnsweringIndex

beforeAll(() => {
  redis = new Redis(testRedisUrl())
})
afterAll(() => redis.disconnect())
beforeEach(() => {
  keys = createJobKeys(freshPrefix())
  index = createRedisAnswering({ redis, keys })
})

const NOBODY: DeadAnswerers = { silence: null, known: [] }
const create = (job: string, process = 'p1'): Answering => ({ entry: 'e', job, process, forMs: 60_000 })
/** What the commit of an acceptance writes. */
const accept = async ({ entry, job, process }: Answering): Promise<void> => {
  await redis.hset(keys.answering(entry), job, process)
}
const claim = (job: string, { patient = true, dead = NOBODY } = {}) => index.claim(create(job, 'p2'), { patient, dead })

describe('an equal create', () => {
  test('is noted when there is no other', async () => {
    expect(await claim('b')).toEqual({ kind: 'noted' })
    expect(await redis.hgetall(keys.answering('e'))).toEqual({ b: '?p2' })
    expect(await redis.pttl(keys.answering('e'))).toBeGreaterThan(50_000)
  })

  test.each([
    ['before it is accepted', false],
    ['after it was accepted', true],
  ])('waits for one that is being answered, %s, and goes on without patience', async (_when, isAccepted) => {
    await index.claim(create('a'), { patient: true, dead: NOBODY })
    if (isAccepted) await accept(create('a'))
    expect(await claim('b')).toEqual({ kind: 'busy', processes: ['p1'] })
    expect(await claim('b', { patient: false })).toEqual({ kind: 'noted' })
  })

  test('is not affected by one that was answered', async () => {
    await accept(create('a'))
    await index.answered('e', 'a')
    expect(await claim('b')).toEqual({ kind: 'noted' })
  })

  test('gets the job of one whose answer was lost; only one of them does', async () => {
    await accept(create('a'))
    expect(await index.lost('e', 'a', 60_000)).toBe(true)
    expect(await claim('b')).toEqual({ kind: 'claimed', job: 'a' })
    expect(await claim('c')).toEqual({ kind: 'busy', processes: ['p2'] })
    // That answer can be lost, too.
    expect(await index.lost('e', 'a', 60_000)).toBe(true)
    expect(await claim('d')).toEqual({ kind: 'claimed', job: 'a' })
  })

  test('gets the older of two', async () => {
    for (const job of ['b', 'a']) {
      await accept(create(job))
      await index.lost('e', job, 60_000)
    }
    expect(await claim('c')).toEqual({ kind: 'claimed', job: 'a' })
    expect(await claim('d')).toEqual({ kind: 'claimed', job: 'b' })
  })

  test('gets nothing of one that was refused', async () => {
    await index.claim(create('a'), { patient: true, dead: NOBODY })
    expect(await index.lost('e', 'a', 60_000)).toBe(false)
    expect(await claim('b')).toEqual({ kind: 'noted' })
  })

  test.each<[string, DeadAnswerers]>([
    ['it is known to be dead', { silence: null, known: ['p1'] }],
    ['it does not beat', { silence: 5000, known: [] }],
  ])('gets the job of a process when %s', async (_why, dead) => {
    await index.beat('p2')
    await accept(create('a'))
    expect(await claim('b')).toEqual({ kind: 'busy', processes: ['p1'] })
    expect(await claim('b', { dead })).toEqual({ kind: 'claimed', job: 'a' })
  })

  test('gets nothing of a dead process that had accepted nothing', async () => {
    await index.claim(create('a'), { patient: true, dead: NOBODY })
    expect(await claim('b', { dead: { silence: null, known: ['p1'] } })).toEqual({ kind: 'noted' })
    expect(await redis.hkeys(keys.answering('e'))).toEqual(['b'])
  })

  test('gets nothing of a process that beats', async () => {
    await index.beat('p1')
    await accept(create('a'))
    expect(await claim('b', { dead: { silence: 5000, known: [] } })).toEqual({ kind: 'busy', processes: ['p1'] })
    await index.leave('p1')
    expect(await claim('b', { dead: { silence: 5000, known: [] } })).toEqual({ kind: 'claimed', job: 'a' })
  })
})

const log = createLogger({ level: 'fatal', readable: false })

describe('an answer', () => {
  const ACCEPT_WITHIN = 50
  const own = create('a', 'p1')
  const follow = (sent: Promise<boolean>) =>
    createSentAgain({
      index,
      answerers: { own: 'p1', dead: () => Promise.resolve([]), silence: () => null },
      acceptWithin: ACCEPT_WITHIN,
      log,
    }).follow({ sent: () => sent }, own)
  const noted = (): Promise<Record<string, string>> => redis.hgetall(keys.answering('e'))

  test.each([
    ['was handed to the socket', true, {}],
    ['was not', false, { a: '' }],
  ])('that %s', async (_what, isWhole, left) => {
    await accept(own)
    follow(Promise.resolve(isWhole))
    await waitFor('the answer to be recorded', async () => (await noted())['a'] !== 'p1')
    expect(await noted()).toEqual(left)
  })

  test('that is an error of ours leaves the job to the next equal create', async () => {
    await accept(own)
    const sent = Promise.withResolvers<boolean>()
    follow(sent.promise).failed(new Error('the view failed'))
    sent.resolve(true)
    await waitFor('the loss to be recorded', async () => (await noted())['a'] === '')
  })

  test('accept_unknown leaves the job to the next equal create, also when the acceptance takes effect later', async () => {
    await index.claim(own, { patient: true, dead: NOBODY })
    const sent = Promise.withResolvers<boolean>()
    follow(sent.promise).failed(new ServiceError('accept_unknown', 'no response'))
    sent.resolve(true)
    await waitFor('the note to be gone', async () => Object.keys(await noted()).length === 0)
    await accept(own)
    await waitFor('the loss to be recorded', async () => (await noted())['a'] === '')
  })
})

describe('a process', () => {
  test('counts as dead when no such process runs on this machine, and not when it runs, or runs elsewhere', async () => {
    const answerers = await startAnswerers(index, log)
    const [place, pid] = answerers.own.split('.')
    const other = `${place}.${pid}.another-run`
    expect(await answerers.dead([answerers.own, other, `elsewhere.${pid}.x`, `${place}.99999999.x`])).toEqual([
      other,
      `${place}.99999999.x`,
    ])
    await answerers.stop()
    expect(await redis.zcard(keys.answerers)).toBe(0)
  })

  test('judges others by their beats only while its own have not been missing', async () => {
    let now = 0
    const answerers = await startAnswerers(index, log, () => now)
    expect(answerers.silence()).toBeNull()
    for (let at = 1000; at <= 7000; at += 1000) {
      now = at
      await answerers.beat()
    }
    expect(answerers.silence()).toBe(5000)
    now = 10_000
    expect(answerers.silence()).toBeNull()
    await answerers.beat()
    expect(answerers.silence()).toBeNull()
    await answerers.stop()
  })
})
