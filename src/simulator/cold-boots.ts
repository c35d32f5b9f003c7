import type { Habits } from './habits.ts'
import type { Model } from './models/model.ts'
import type { Prediction } from './prediction.ts'
import { startedAtOf } from './prediction.ts'
import { seededRandom } from './seeded-random.ts'

/** Models that nobody has used for a while boot before they run; official models are always on. */

export interface BootTarget {
  model: Model
  /** 64 hex digits, or `hidden` for an official model. */
  version: string
  deployment: { name: string; minInstances: number } | null
}

/** Seconds of a boot of this target, whether or not it needs one. */
export function bootSecondsOf({ model, version, deployment }: BootTarget, seed: number, habits: Habits): number {
  const isAlwaysOn = deployment === null ? version === 'hidden' : deployment.minInstances > 0
  if (isAlwaysOn) return 0
  return habits.cold_boot_seconds ?? seededRandom('boot', model.name, seed).between(...model.bootSeconds)
}

/**
 * Milliseconds from now until an instance is there: 0 when one is warm, the rest of a boot that is under way, or a whole
 * boot.
 */
export function bootDelayMs(
  { version, deployment }: BootTarget,
  predictions: Iterable<Prediction>,
  { bootMs, warmMs, now }: { bootMs: number; warmMs: number; now: number },
): number {
  if (bootMs <= 0) return 0
  let delay = bootMs
  for (const one of predictions) {
    const isSame =
      deployment === null ? one.deployment === null && one.version === version : one.deployment === deployment.name
    const startedAt = startedAtOf(one)
    if (!isSame || startedAt === null) continue
    if (one.end !== null && now - one.end.at > warmMs) continue
    delay = Math.min(delay, Math.max(0, startedAt - now))
  }
  return delay
}
