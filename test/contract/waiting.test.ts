import { beforeAll, describe, expect, test } from 'vitest'
import { createWaiting } from '../../src/api/waiting.ts'
import type { Condition } from '../../src/shared/conditions/rules/condition.ts'
import type { JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import type { JobWaits } from '../../src/shared/jobs/job-waits.ts'
import { createRedisJobWaits } from '../../src/shared/jobs/redis-job-waits.ts'
import { createRedisLimitStore } from '../../src/shared/limits/redis-limit-store.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { jobScene, type JobScene } from '../support/job-scene.ts'
import { prediction } from '../unit/support/job-states.ts'
import { waitFor } from '../support/wait-for.ts'

let scene: JobScene
let waiting: ReturnType<typeof createWaiting>
let waits: JobWaits
let lasting: Condition[] = []
beforeAll(async () => {
  scene = await jobScene()
  waits = createRedisJobWaits(scene.redis, scene.keys.wait, createLogger({ level: 'silent', readable: false }))
  waiting = createWaiting({
    manual: createRedisLimitStore({ redis: scene.redis, keys: scene.keys, accounts: {} }),
    store: scene.store,
    accountsFor: () => ['default'],
    conditions: { all: () => Promise.resolve(lasting) },
    waits,
  })
})

const read = async (id: string): Promise<JobRecord> => {
  const job = await scene.store.read(id)
  if (!job) throw new Error(`there is no job ${id}`)
  return job
}

/** A job after the given events. */
async function after(events: readonly ((id: string) => JobEvent)[]): Promise<JobRecord> {
  const id = await scene.accepted()
  for (const event of events) await scene.happen(id, event(id))
  return read(id)
}

const intend = (): JobEvent => ({ type: 'intend', claim: 'c' })
const lost = (attempt: number) => (): JobEvent => ({ type: 'lost', attempt, claim: 'c', reason: 'ECONNRESET' })
const notSent = (attempt: number) => (): JobEvent => ({ type: 'not_sent', attempt, claim: 'c' })
const seen = (attempt: number, status: string) => (id: string) =>
  ({
    type: 'observed',
    attempt,
    prediction: prediction(status, { id: `${id}-${attempt}`, error: status === 'failed' ? '(code: PA)' : null }),
  }) as const
const created = seen(1, 'starting')
const stored = (id: string): JobEvent => ({
  type: 'observed',
  attempt: 1,
  prediction: prediction('succeeded', { id: `${id}-1`, output: 'https://replicate.delivery/a.png' }),
})
const failedOnce = [intend, seen(1, 'starting'), seen(1, 'failed')]

const RATE = { perMinute: 60_000, ceiling: 60_000 }
const TURN = {
  for: 'turn',
  crowd: null,
  blocked: null,
  manual: null,
  pause: null,
  condition: null,
  wait: null,
  rate: RATE,
}
const OUTCOME = { for: 'outcome' }

describe('a job', () => {
  test.each<[when: string, events: ((id: string) => JobEvent)[], expected: object | null]>([
    ['in the line waits for its turn', [], TURN],
    ['whose create is in flight waits for nothing on our side', [intend], null],
    ['whose create got no answer waits for its outcome', [intend, lost(1)], OUTCOME],
    ['that runs waits for nothing of ours', [intend, seen(1, 'starting')], null],
    ['that is to be retried waits for its turn', failedOnce, TURN],
    ['that is being retried waits for nothing on our side', [...failedOnce, intend], null],
    ['whose next create got no answer waits for its outcome', [...failedOnce, intend, lost(2)], OUTCOME],
    ['whose next create was not sent waits for its turn', [...failedOnce, intend, notSent(2)], TURN],
    ['that was retried waits for nothing on our side', [...failedOnce, intend, seen(2, 'starting')], null],
    ['whose outputs are copied waits for that', [intend, created, stored], { for: 'store', wait: null }],
    [
      'that is being stopped waits for Replicate',
      [intend, created, () => ({ type: 'cancel' })],
      { for: 'stop', since: expect.any(Number) },
    ],
    ['that is over waits for nothing', [() => ({ type: 'cancel' })], null],
  ])('%s', async (_when, events, expected) => {
    expect(await waiting(await after(events))).toEqual(expected)
  })

  test('that has moved on since its record was read is not said to wait', async () => {
    const old = await after(failedOnce)
    await scene.happen(old.id, { type: 'cancel' })
    expect(await waiting(old)).toBeNull()
  })

  test('waits for what holds up the whole deployment, when that stops creation', async () => {
    const job = await after([])
    const about = (name: Condition['name']): Condition => ({ name, since: 1, detail: '', processes: 1 })
    lasting = [about('webhooks_silent'), about('upstream_failing'), about('recovery_listing')]
    expect(await waiting(job)).toEqual({ ...TURN, condition: 'upstream_failing' })
    lasting = [about('webhooks_silent'), about('pause_account')]
    expect(await waiting(job)).toEqual(TURN)
    lasting = []
  })

  test('waits for what its worker met, until that is over', async () => {
    const [queued, storing] = [await after([]), await after([intend, created, stored])]
    const files = { reason: 'files', detail: 'A file is handed over.' } as const
    const copy = { reason: 'copy', detail: 'The last copy failed.', until: 1_767_225_600_000 } as const
    await waits.note(queued.id, files)
    await waits.note(storing.id, copy)
    expect(await waiting(queued)).toEqual({ ...TURN, wait: files })
    expect(await waiting(storing)).toEqual({ for: 'store', wait: copy })
    await waits.note(queued.id, null)
    expect(await waiting(queued)).toEqual(TURN)
  })

  test('reports a pause only when the pause delays it', async () => {
    const [queued, resubmitting] = [await after([]), await after(failedOnce)]
    const [underWay, next] = [await after([intend]), await after([...failedOnce, intend])]
    await scene.store.pauseCreation('default', 60_000, 'rate_limited')
    // A pause is looked at five times a second at most.
    for (const job of [queued, resubmitting])
      await waitFor('the pause to be reported', async () => {
        const found = await waiting(job)
        expect(found).toMatchObject({ for: 'turn', pause: { reason: 'rate_limited' } })
        return true
      })
    for (const job of [underWay, next]) expect(await waiting(job)).toBeNull()
  })
})
