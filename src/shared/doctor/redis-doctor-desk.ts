import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import type { AskWorker, DoctorAnswers, OpenProbes, WorkerAnswer } from './ports.ts'
import { checkResult, type CheckResult } from './rules/check.ts'

/** s */
const PROBE_LASTS = 120
const RUN_LASTS = 120
const LOOK_MS = 100

export function createRedisOpenProbes(redis: Redis, keys: Pick<JobKeys, 'probe'>): OpenProbes {
  return {
    async open(probe) {
      await redis.set(keys.probe(probe), '1', 'EX', PROBE_LASTS)
    },
    async close(probe) {
      await redis.del(keys.probe(probe))
    },
    isOpen: async (probe) => (await redis.exists(keys.probe(probe))) === 1,
  }
}

const run = z.object({
  state: z.enum(['asked', 'begun', 'answered']),
  /** A newer worker may make checks that this release does not know. */
  results: z.array(z.unknown()).default([]),
})
type Run = z.input<typeof run>

const written = (value: Run): string => JSON.stringify(value)

export function createRedisDoctorAnswers(redis: Redis, keys: Pick<JobKeys, 'doctorRun'>): DoctorAnswers {
  const write = async (id: string, value: Run): Promise<boolean> =>
    (await redis.set(keys.doctorRun(id), written(value), 'EX', RUN_LASTS, 'XX')) !== null
  return {
    begin: (id) => write(id, { state: 'begun' }),
    async answer(id, results) {
      await write(id, { state: 'answered', results: [...results] })
    },
  }
}

/** How to ask. `ring` queues the request for a worker, `unring` takes it back. Times in ms. */
export interface AskOptions {
  ring(run: string): Promise<void>
  unring(run: string): Promise<void>
  takenWithin: number
  finishedWithin: number
}

export function createRedisAskWorker(redis: Redis, keys: Pick<JobKeys, 'doctorRun'>, options: AskOptions): AskWorker {
  const { ring, unring, takenWithin, finishedWithin } = options

  async function answerTo(id: string): Promise<WorkerAnswer> {
    const began = performance.now()
    for (;;) {
      const text = await redis.get(keys.doctorRun(id))
      const { state, results } = run.parse(JSON.parse(text ?? '{"state":"asked"}'))
      if (state === 'answered') return { kind: 'answered', results: results.flatMap(knownResult) }
      const waited = performance.now() - began
      if (state === 'asked' && waited > takenWithin) return { kind: 'not_taken' }
      if (waited > finishedWithin) return { kind: 'not_finished' }
      await delay(LOOK_MS)
    }
  }

  return {
    async ask() {
      const id = ulid()
      await redis.set(keys.doctorRun(id), written({ state: 'asked' }), 'EX', RUN_LASTS)
      try {
        await ring(id)
        return await answerTo(id)
      } finally {
        await redis.del(keys.doctorRun(id))
        await unring(id)
      }
    },
  }
}

function knownResult(value: unknown): CheckResult[] {
  const { data } = checkResult.safeParse(value)
  return data === undefined ? [] : [data]
}
