import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { withDeadline } from '../shared/deadline.ts'
import type { Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'
import type { Presence } from '../shared/presence.ts'

/** A Redis that is away is not waited for. */
const LEAVE_WITHIN_MS = 1_000
/** This many beats without an answer are no hiccup. */
const LATE_BEATS = 10

/** The creates of this process, so that others know whether one may be under way that Redis has forgotten. */
export interface CreatesUnderWay {
  /** From before an intent is sent until what became of it is committed; answers how to end. */
  begin(): () => void
  /** Whether any has begun and is not over. */
  any(): boolean
  stop(): Promise<void>
}

/** A beat that did not come back is given up after this time, and made again. */
const BEAT_WITHIN_MS = 5_000

/**
 * Writes to Redis that this process lives. In a new generation of Redis's memory it only does so when every create is
 * over that began before: the recovery gate waits for that. Resolves after the first beat.
 */
export async function followCreates(
  presence: Presence,
  timings: Timings,
  conditions: Pick<Conditions, 'set'>,
  log: Logger,
): Promise<CreatesUnderWay> {
  const id = randomUUID()
  /** The generation in which each began, as it was known then. */
  const underWay = new Map<symbol, string>()
  let known = ''
  let beating: Promise<void> | undefined

  async function beat(): Promise<void> {
    const { id: generation } = await presence.look()
    known = generation
    if ([...underWay.values()].every((began) => began === generation)) await presence.beat(id, generation)
  }
  // One at a time.
  const beatOnce = (): Promise<void> =>
    (beating ??= withDeadline(beat(), BEAT_WITHIN_MS, 'The beat').finally(() => {
      beating = undefined
    }))

  await beatOnce()
  let beatAt = performance.now()
  async function beatAndNote(): Promise<void> {
    await beatOnce()
    beatAt = performance.now()
    conditions.set('beat_failing', null)
  }
  const timer = setInterval(() => {
    const silence = performance.now() - beatAt
    if (silence > LATE_BEATS * timings.workerBeat)
      conditions.set('beat_failing', 'others take this worker for dead while that lasts')
    beatAndNote().catch((error: unknown) => log.debug({ err: error }, 'a sign of life was not written'))
  }, timings.workerBeat)
  timer.unref()

  return {
    begin() {
      const create = Symbol('create')
      underWay.set(create, known)
      return () => void underWay.delete(create)
    },
    any: () => underWay.size > 0,
    async stop() {
      clearInterval(timer)
      // What was cut off may still arrive: then this process counts like one that was killed.
      if (underWay.size > 0) return
      const left = (beating ?? Promise.resolve()).then(() => presence.leave(id)).catch(() => undefined)
      await Promise.race([left, delay(LEAVE_WITHIN_MS, undefined, { ref: false })])
    },
  }
}
