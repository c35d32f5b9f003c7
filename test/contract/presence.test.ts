import { Redis } from 'ioredis'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { DEFAULT_TIMINGS, surelyOver, type Timings } from '../../src/shared/jobs/rules/timings.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import type { Presence } from '../../src/shared/redis/presence.ts'
import { createGeneration } from '../../src/shared/redis/generation.ts'
import { createRedisPresence } from '../../src/shared/redis/redis-presence.ts'
import type { PredictionPort } from '../../src/shared/replicate/prediction-port.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { trackCreates } from '../../src/workers/creates-in-flight.ts'
import { createRecoverIntents } from '../../src/workers/recover-intents.ts'
import { noConditions } from '../support/no-conditions.ts'
import { jobScene } from '../support/job-scene.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { waitFor } from '../support/wait-for.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'
import { oneAccount } from '../support/one-account.ts'

const redis = new Redis(testRedisUrl())
afterAll(() => redis.disconnect())
const log = createLogger({ level: 'silent', readable: false })
/** Creates of a process that ended may be in flight for some seconds: a test has acted by then. */
const timings: Timings = { ...DEFAULT_TIMINGS, ...SHORT_TIMINGS, workerBeat: 20, permit: 4000 }

let hash: string
let presence: Presence
beforeEach(() => {
  hash = `${freshPrefix()}:presence`
  presence = createRedisPresence(redis, hash, createGeneration(redis, `${hash}:generation`, { gap: null }))
})
/** Sets the age at which a process was last seen. */
const seen = (process: string, run: string, ago: number) =>
  redis.hset(hash, `worker:${process}`, `${run} ${Date.now() - ago}`, `run:${run}`, String(Date.now() - ago))
/** `<run> <ms>` of each process. */
const known = async (): Promise<string[]> =>
  Object.entries(await redis.hgetall(hash)).flatMap(([field, value]) => (field.startsWith('worker:') ? [value] : []))

describe('processes of another generation', () => {
  const HOUR = 3_600_000
  const hours = (ms: number): number => Math.round(ms / HOUR)

  test('are listed with their age until they join the new generation, leave, or expire', async () => {
    await presence.beat('mine', 'now')
    await seen('slow', 'before', HOUR)
    await seen('dead', 'older', 60 * HOUR)
    const former = await presence.former('now')
    expect(former.processes.map(hours).toSorted((a, b) => a - b)).toEqual([1, 60])
    expect(hours(former.seen ?? 0)).toBe(1)
    await presence.beat('slow', 'now')
    expect((await presence.former('now')).processes.map(hours)).toEqual([60])
    await presence.leave('dead')
    // When the other run was last seen stays known.
    expect(await presence.former('now')).toMatchObject({ processes: [], seen: expect.any(Number) })
    await seen('killed', 'now', 2 * HOUR)
    await presence.forget('now', HOUR)
    expect(await presence.former('now')).toEqual({ processes: [], seen: null })
    expect(Object.keys(await redis.hgetall(hash)).toSorted()).toEqual(['run:now', 'worker:mine', 'worker:slow'])
  })

  test('are none in a fresh deployment', async () => {
    expect(await presence.former('now')).toEqual({ processes: [], seen: null })
  })
})

describe('a process', () => {
  /** A Redis whose generations the test decides on; how often it was asked for them. */
  function restartable() {
    const at = { generation: 'before', asked: 0 }
    const look: Presence['look'] = () => {
      at.asked++
      return Promise.resolve({ id: at.generation, open: new Set(['default']), lostAgo: null, cause: null })
    }
    return { at, presence: { ...presence, look } }
  }
  const severalBeats = async (at: { asked: number }): Promise<void> => {
    const { asked } = at
    await waitFor('several beats', () => at.asked > asked + 3)
  }

  test('comes over to a new generation when the creates are over that it began before', async () => {
    const { at, presence: changing } = restartable()
    const creates = await trackCreates(changing, timings, noConditions, log)
    expect(await known()).toEqual([expect.stringMatching(/^before \d+$/)])
    const [first, second] = [creates.begin(), creates.begin()]
    at.generation = 'after'
    await severalBeats(at)
    first()
    const last = await known()
    await severalBeats(at)
    expect(await known()).toEqual(last)
    second()
    await waitFor('it to come over', async () => (await known())[0]?.startsWith('after '))
    // A create that begins now belongs to the new generation and blocks no gate.
    const later = creates.begin()
    const [beat] = await known()
    await waitFor('it to go on', async () => (await known())[0] !== beat)
    later()
    await creates.stop()
    expect(await known()).toEqual([])
  })

  test('that is stopped while a create is in flight stays known', async () => {
    const creates = await trackCreates(restartable().presence, timings, noConditions, log)
    creates.begin()
    await creates.stop()
    expect(await known()).toHaveLength(1)
  })

  test('beats again when a heartbeat is never answered', async () => {
    const { at, presence: answering } = restartable()
    const lost = new Promise<never>(() => undefined)
    const beats: (() => Promise<void>)[] = [() => lost]
    const beat: Presence['beat'] = (...of) => (at.generation === 'after' && beats.pop()?.()) || answering.beat(...of)
    const adjustable = { ...timings }
    const creates = await trackCreates({ ...answering, beat }, adjustable, noConditions, log)
    adjustable.beatTimeout = 50
    at.generation = 'after'
    await waitFor('it to come over', async () => (await known())[0]?.startsWith('after '))
    expect(beats).toEqual([])
    await creates.stop()
    expect(await known()).toEqual([])
  })

  test('stops although Redis does not answer', async () => {
    const silent = new Promise<never>(() => undefined)
    let away = false
    const look: Presence['look'] = () => (away ? silent : presence.look())
    const creates = await trackCreates({ ...presence, look, leave: () => silent }, timings, noConditions, log)
    away = true
    await creates.stop()
  })
})

describe('the recovery gate', () => {
  async function gate(change: Partial<Presence> = {}) {
    const { redis: own, keys, store, generation } = await jobScene(timings)
    presence = createRedisPresence(own, keys.presence, generation)
    hash = keys.presence
    await own.hdel(keys.generation, 'open', 'open:default')
    const listed: { after: number; before: number }[] = []
    const upstream: Pick<PredictionPort, 'list'> = {
      list: ({ after, before }) => {
        listed.push({ after, before })
        return Promise.resolve({ kind: 'page', predictions: [], cursor: null })
      },
    }
    const recover = createRecoverIntents({
      store,
      lifecycle: createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => false }),
      accounts: oneAccount({ upstream }),
      tokens: createWebhookTokens({ deployment: 'dep', keys: oneKey(Buffer.alloc(32)), publicUrl: () => null }),
      presence: { ...presence, ...change },
      timings,
      sameDeployment: () => Promise.resolve(true),
      conditions: noConditions,
      conditionsOf: () => noConditions,
      log,
    })
    const open = async (): Promise<boolean> => (await recover('default', new AbortController().signal)).retryInMs === 0
    return { open, listed }
  }

  test('waits for a process of the generation before, until it has come over', async () => {
    const { open, listed } = await gate()
    await seen('other', 'before', 100)
    expect(await open()).toBe(false)
    expect(listed).toEqual([])
    const run = (await presence.look()).id
    await presence.beat('other', run)
    expect(await open()).toBe(true)
    expect(listed).toHaveLength(1)
    expect(await presence.former(run)).toEqual({ processes: [], seen: null })
  })

  test('or until none of its requests can be in flight any more', async () => {
    const { open } = await gate()
    await seen('killed', 'before', surelyOver(timings) - timings.permit)
    expect(await open()).toBe(false)
    await waitFor('the gate to open', open)
    expect((await presence.former((await presence.look()).id)).processes).toEqual([])
  })

  test('lists from before Redis was last seen, however long it was away', async () => {
    const { open, listed } = await gate()
    const away = 20 * 60_000
    await seen('killed', 'before', away)
    expect(await open()).toBe(true)
    const reach = Date.now() - (listed[0]?.after ?? 0)
    expect(reach).toBeGreaterThanOrEqual(away + timings.recoveryWindow - 1000)
    expect(reach).toBeLessThan(away + timings.recoveryWindow + 60_000)
  })
  test('stays closed when another generation begins while it looks', async () => {
    const before = { id: 'the generation before', open: new Set<string>(), lostAgo: null, cause: null }
    const { open, listed } = await gate({
      look: () => Promise.resolve(before),
      unlistedSince: (_generation, _account, _unlisted, from) => Promise.resolve(from),
    })
    expect(await open()).toBe(false)
    expect(listed).toHaveLength(1)
  })
})
