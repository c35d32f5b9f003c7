import { parseLineMember } from '../../src/shared/jobs/record/line-member.ts'
import { placed } from '../support/places.ts'
import { expect, test } from 'vitest'
import { dueAttempt, dueJob } from '../../src/shared/jobs/record/due-member.ts'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { NewerRecordError } from '../../src/shared/jobs/record/record-codec.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createRedisPresence } from '../../src/shared/redis/redis-presence.ts'
import type { Prediction } from '../../src/shared/replicate/rules/prediction.ts'
import type { PredictionPort } from '../../src/shared/replicate/prediction-port.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { createAdoptUnknown } from '../../src/workers/adopt-unknown.ts'
import { createPollWindow } from '../../src/workers/poll-window.ts'
import { createRecoverIntents } from '../../src/workers/recover-intents.ts'
import { createSweep } from '../../src/workers/sweep.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { queueScene } from '../support/queue-worker.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { waitFor } from '../support/wait-for.ts'
import { prediction } from '../unit/support/job-states.ts'
import { noNotifications } from '../support/no-notifications.ts'
import { oneAccount } from '../support/one-account.ts'
import type { Conditions } from '../../src/shared/conditions/conditions.ts'

/** Workers of two releases side by side, and records that only one of them can read, or neither. */

const log = createLogger({ level: 'silent', readable: false })
const signal = new AbortController().signal
const nothing = (): Promise<void> => Promise.resolve()
const tokens = createWebhookTokens({ deployment: 'dep', keys: oneKey(Buffer.alloc(32)), publicUrl: () => null })

/** As a newer release writes it. */
const newer = ({ redis, keys }: JobScene, id: string) => redis.hset(keys.job(id), 'v', '2')
/** Nobody can read it. */
const damaged = ({ redis, keys }: JobScene, id: string) => redis.hset(keys.job(id), 'rev', '"one"')
const readable = ({ redis, keys }: JobScene, id: string) => redis.hset(keys.job(id), 'v', '1')

function upstreamWith(predictions: Prediction[]): Pick<PredictionPort, 'list' | 'get'> {
  return {
    list: () => Promise.resolve({ kind: 'page', predictions, cursor: null }),
    get(id) {
      const found = predictions.find((one) => one.id === id)
      return Promise.resolve(found ? { kind: 'prediction', prediction: found } : { kind: 'not_found' })
    },
  }
}

const partsOf = ({ store, timings }: JobScene, predictions: Prediction[]) => ({
  store,
  lifecycle: createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => false }),
  accounts: oneAccount({ upstream: upstreamWith(predictions) }),
  tokens,
  timings,
  log,
})

/** A job whose first create request was sent. */
async function intended(scene: JobScene): Promise<string> {
  const id = await scene.accepted()
  await scene.happen(id, { type: 'intend', claim: 'c' })
  return id
}

async function unknown(scene: JobScene): Promise<string> {
  const id = await intended(scene)
  await scene.happen(id, { type: 'lost', attempt: 1, claim: 'c', reason: 'ECONNRESET' })
  return id
}

const createdFor = (id: string, status = 'processing'): Prediction => ({
  ...prediction(status, { id: `p-${id}` }),
  created_at: Date.now(),
  webhook: tokens.url(id, 1),
})

test('the sweep leaves a newer record to another worker within a second, not until its lease is over', async () => {
  const scene = await jobScene()
  const { redis, keys, timings } = scene
  const [own, other] = [await scene.accepted(), await scene.accepted()]
  await newer(scene, other)
  const batches = { tend: nothing }
  const sweep = createSweep({
    ...partsOf(scene, []),
    doorbells: SILENT_DOORBELLS,
    cleanUp: nothing,
    batches,
    notifications: noNotifications,
    slice: () => 1000,
  })
  for (const id of [own, other]) await redis.zadd(keys.due, '1', dueJob(id).member)
  await sweep(signal)
  expect((await redis.zrange(keys.line, '0', '-1')).map((member) => parseLineMember(member).job)).toEqual([own])
  const due = Number(await redis.zscore(keys.due, dueJob(other).member))
  expect(due - (await scene.store.now())).toBeLessThanOrEqual(timings.sweepInterval)
})

test('a doorbell that one worker cannot serve is rung again for the others', async () => {
  const scene = await jobScene(SHORT_TIMINGS)
  const { queues, doorbells, worker } = queueScene(scene)
  const served: string[] = []
  const tried = new Set<string>()
  const isFirst = (what: string): boolean => !tried.has(what) && tried.add(what).has(what)
  const serve = async (what: string): Promise<void> => {
    if (isFirst(what)) throw new NewerRecordError('as a worker of the release before')
    served.push(what)
  }
  await worker({
    submit: (id) => serve(`submit ${id}`),
    poll: (id) => serve(`poll ${id}`),
    cancel: (id) => serve(`cancel ${id}`),
    store: (id) => serve(`store ${id}`),
    // A job that a worker leaves is due again, and comes back into the line.
    async sweep() {
      const { members } = await scene.store.claimDue(10)
      for (const member of members) if (member.kind === 'job') await doorbells.submit(placed(member.job))
    },
  })
  const id = await scene.accepted()
  await doorbells.submit(placed(id))
  await doorbells.poll(id, 1, false)
  await doorbells.effect(id, { v: 1, kind: 'cancel', attempt: 1, prediction_id: 'p', requested_at: 0 })
  const times = { expires_at: Date.now(), give_up_at: Date.now() }
  await doorbells.store(
    { id, tenant: 'demo' },
    { v: 1, kind: 'store', attempt: 1, output: null, output_pending: false, ...times },
  )
  const all = ['cancel', 'poll', 'store', 'submit'].map((what) => `${what} ${id}`)
  await waitFor('every doorbell to be served', () => served.length === all.length)
  expect(served.toSorted()).toEqual(all)

  // Its own words may be newer, too: no processor sees them, and they are kept.
  await queues.submit.add('submit', { v: 3, of: 'another release' }, { jobId: 'newer' })
  await waitFor('it to be left', async () => ((await queues.submit.getJob('newer'))?.attemptsStarted ?? 0) > 1)
  expect(served).toHaveLength(all.length)
})

test('a doorbell that is damaged in Redis is removed and recorded, and the next one for its job is served', async () => {
  const scene = await jobScene({ ...SHORT_TIMINGS, doorbellLock: 1000, doorbellCheck: 200 })
  const { redis } = scene
  const { queues, doorbells, worker } = queueScene(scene)
  const served: string[] = []
  const serve = async (id: string): Promise<void> => void served.push(id)
  const [data, options] = [await scene.accepted(), await scene.accepted()]
  for (const id of [data, options]) await doorbells.poll(id, 1, false)
  await redis.hset(queues.poll.toKey(`poll-${data}-1`), 'data', '{"v":1,')
  await redis.hset(queues.poll.toKey(`poll-${options}-1`), 'opts', 'no JSON')
  await worker({ poll: serve })
  const letters = async () =>
    (await scene.redis.xrange(scene.keys.deadLetters, '-', '+')).map(([, fields]) => fields.slice(0, 4))
  await waitFor('both to be recorded', async () => (await letters()).length === 2)
  expect((await letters()).map((fields) => fields.join(' ')).toSorted()).toEqual(
    [data, options].map((id) => `reason broken_doorbell job ${id}`).toSorted(),
  )
  expect(await queues.poll.getJobCounts('active', 'waiting', 'failed')).toEqual({ active: 0, waiting: 0, failed: 0 })
  for (const id of [data, options]) await doorbells.poll(id, 1, false)
  await waitFor('both to be served', () => served.length === 2)
  expect(served.toSorted()).toEqual([data, options].toSorted())
})

test.each([
  ['newer', newer],
  ['damaged', damaged],
])('a %s record among unknown creates does not keep the others from being adopted', async (_name, spoil) => {
  const scene = await jobScene()
  const ids = [await unknown(scene), await unknown(scene), await unknown(scene)]
  const [first = '', spoilt = '', last = ''] = ids
  await spoil(scene, spoilt)
  const adopt = createAdoptUnknown({
    ...partsOf(
      scene,
      ids.map((id) => createdFor(id)),
    ),
  })
  await adopt('default', signal)
  for (const id of [first, last]) expect(await scene.store.read(id)).toMatchObject({ prediction_id: `p-${id}` })
  const due = Number(await scene.redis.zscore(scene.keys.due, dueAttempt(spoilt, 1).member))
  expect(due - (await scene.store.now())).toBeLessThanOrEqual(scene.timings.listAgain.max)
})

test.each([
  ['newer', newer],
  ['damaged', damaged],
])('a %s record in a listing does not keep the others from being seen, and is rung for', async (_name, spoil) => {
  const scene = await jobScene()
  const ids = [await intended(scene), await intended(scene), await intended(scene)]
  const [first = '', spoilt = '', last = ''] = ids
  for (const id of ids)
    await scene.happen(id, { type: 'observed', attempt: 1, prediction: createdFor(id, 'starting') }, 'create')
  await spoil(scene, spoilt)
  const polled: string[] = []
  const window = createPollWindow({
    ...partsOf(
      scene,
      ids.map((id) => createdFor(id)),
    ),
    doorbells: { poll: async (id) => void polled.push(id) },
    nextPoll: () => Promise.resolve(1000),
  })
  const now = await scene.store.now()
  await window('default', { after: now - 1000, before: now, due: ids.map((job) => ({ job, attempt: 1 })) }, signal)
  for (const id of [first, last]) expect(await scene.store.read(id)).toMatchObject({ phase: 'running' })
  expect(polled).toEqual([spoilt])
})

async function closedGate() {
  const scene = await jobScene({ ...SHORT_TIMINGS })
  const { redis, keys, generation } = scene
  const ids = [await scene.accepted(), await scene.accepted(), await scene.accepted()]
  await redis.hdel(keys.generation, 'open', 'open:default')
  const details: (string | null)[] = []
  const conditions: Pick<Conditions, 'set'> = {
    set: (name, detail) => void (name === 'recovery_listing' && details.push(detail)),
  }
  const recover = createRecoverIntents({
    ...partsOf(
      scene,
      ids.map((id) => createdFor(id)),
    ),
    presence: createRedisPresence(redis, keys.presence, generation),
    conditionsOf: () => conditions,
    sameDeployment: () => Promise.resolve(true),
    conditions,
  })
  const isOpen = async (): Promise<boolean> => (await recover('default', signal)).retryInMs === 0
  return { scene, ids, details, isOpen }
}

test('the recovery gate adopts what it can read, and stays closed for newer records that may be created again', async () => {
  const { scene, ids, details, isOpen } = await closedGate()
  const [first = '', spoilt = '', last = ''] = ids
  await newer(scene, spoilt)
  expect(await isOpen()).toBe(false)
  for (const id of [first, last]) expect(await scene.store.read(id)).toMatchObject({ prediction_id: `p-${id}` })
  expect(details.at(-1)).toContain('1 job with predictions')
  // As a worker of that release does.
  await readable(scene, spoilt)
  expect(await isOpen()).toBe(true)
  expect(await scene.store.read(spoilt)).toMatchObject({ prediction_id: `p-${spoilt}` })
  expect(details.at(-1)).toBeNull()
})

test('the recovery gate opens although the record of a prediction is damaged: no worker creates for that job', async () => {
  const { scene, ids, isOpen } = await closedGate()
  const [first = '', spoilt = '', last = ''] = ids
  await damaged(scene, spoilt)
  expect(await isOpen()).toBe(true)
  for (const id of [first, last]) expect(await scene.store.read(id)).toMatchObject({ prediction_id: `p-${id}` })
})
