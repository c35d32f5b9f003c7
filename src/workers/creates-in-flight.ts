import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { withDeadline } from '../shared/values/deadline.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { Presence } from '../shared/redis/presence.ts'

/** An unreachable Redis delays shutdown by at most this, ms */
const LEAVE_WITHIN_MS = 1_000
/** Missed heartbeats until a condition is reported. */
const LATE_BEATS = 10

/** The creates of this process in flight. The heartbeat shows other processes whether Redis may have lost one of them. */
export interface CreatesInFlight {
  /** Call before an intent is sent. Returns a function to call when its outcome is committed. */
  begin(): () => void
  /** Whether a create is in flight. */
  any(): boolean
  stop(): Promise<void>
}

/**
 * Tracks creates, and writes the heartbeat of this process to Redis. In a new generation of Redis's memory the heartbeat
 * starts when every create of a former generation is complete, because the recovery gate waits for that. Resolves after
 * the first heartbeat.
 */
export async function trackCreates(
  presence: Presence,
  timings: Timings,
  conditions: Pick<Conditions, 'set'>,
  log: Logger,
): Promise<CreatesInFlight> {
  const id = randomUUID()
  /** The generation in which each create began, as known to this process. */
  const inFlight = new Map<symbol, string>()
  let known = ''
  let beating: Promise<void> | undefined

  async function beat(): Promise<void> {
    const { id: generation } = await presence.look()
    known = generation
    if ([...inFlight.values()].every((began) => began === generation)) await presence.beat(id, generation)
  }
  // One heartbeat at a time.
  const beatOnce = (): Promise<void> =>
    (beating ??= withDeadline(beat(), timings.beatTimeout, 'The heartbeat').finally(() => {
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
      conditions.set('beat_failing', 'other processes consider this worker dead while this lasts')
    beatAndNote().catch((error: unknown) => log.debug({ err: error }, 'could not write a heartbeat'))
  }, timings.workerBeat)
  timer.unref()

  return {
    begin() {
      const create = Symbol('create')
      inFlight.set(create, known)
      return () => void inFlight.delete(create)
    },
    any: () => inFlight.size > 0,
    async stop() {
      clearInterval(timer)
      // An aborted create may still arrive, so this process must count as killed.
      if (inFlight.size > 0) return
      const left = (beating ?? Promise.resolve()).then(() => presence.leave(id)).catch(() => undefined)
      await Promise.race([left, delay(LEAVE_WITHIN_MS, undefined, { ref: false })])
    },
  }
}
