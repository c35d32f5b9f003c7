import type { Conditions } from '../conditions/conditions.ts'
import { CONDITIONS } from '../conditions/rules/condition.ts'
import { clockDifference, workerSilence } from '../conditions/rules/thresholds.ts'
import type { LastSweep } from '../jobs/ports.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import type { Presence } from '../redis/presence.ts'
import { failed, ok, warning, type Details } from './rules/check.ts'
import { single, type CheckGroup } from './run-checks.ts'

export const clockCheck = (
  timings: Timings,
  ahead: () => Promise<{ redis: number; upstream: number | null }>,
): CheckGroup =>
  single('clocks', async () => {
    const found = await ahead()
    const details = {
      ahead_of_redis_ms: Math.round(found.redis),
      ahead_of_replicate_ms: found.upstream === null ? null : Math.round(found.upstream),
    }
    const difference = clockDifference(timings, found)
    if (difference !== null)
      return failed(
        `${difference.charAt(0).toUpperCase()}${difference.slice(1)}.`,
        'Synchronize the clocks (NTP) of all machines. From five minutes on webhooks are refused.',
        details,
      )
    return ok(
      found.upstream === null
        ? 'The clocks of this machine and of Redis agree.'
        : 'The clocks of this machine, of Redis and of Replicate agree.',
      details,
    )
  })

export const workersCheck = (presence: Pick<Presence, 'seenAgo'>, store: LastSweep, timings: Timings): CheckGroup =>
  single('workers', async () => {
    const [seen, swept] = await Promise.all([presence.seenAgo(), store.sweptAgo()])
    const details = { last_seen_ms: seen, last_sweep_ms: swept }
    if (seen === null || seen > workerSilence(timings))
      return failed(
        seen === null
          ? 'No worker is running: jobs are accepted and wait.'
          : `No worker is running: the last one was seen ${Math.round(seen / 1000)} s ago. Jobs are accepted and wait.`,
        'Start a worker, with the REDIS_URL and KEY_PREFIX of the api.',
        details,
      )
    if (swept === null || swept > timings.sweepSilence)
      return warning(
        'Workers are running, but none has looked for due work lately.',
        'Read the log of the workers. A worker that stays like this ends by itself: run it under a supervisor.',
        details,
      )
    return ok('Workers are running and look for due work.', details)
  })

export const conditionsCheck = (conditions: Pick<Conditions, 'all'>): CheckGroup =>
  single('conditions', async () => {
    const lasting = await conditions.all()
    const details: Details = Object.fromEntries(lasting.map(({ name, detail }) => [name, detail]))
    const levels = new Set(lasting.map(({ name }) => CONDITIONS[name].level))
    if (!levels.has('error') && !levels.has('warn')) return ok('The running processes report no problem.', details)
    const seen = lasting.map(({ name, detail }) => `${CONDITIONS[name].begins} (${detail}).`).join(' ')
    const todo = 'docs/waiting.md says what to do for each: '.concat(lasting.map(({ name }) => name).join(', '), '.')
    return levels.has('error') ? failed(seen, todo, details) : warning(seen, todo, details)
  })
