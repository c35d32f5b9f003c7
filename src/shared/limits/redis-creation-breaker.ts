import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import {
  SILENT_FROM,
  type CreateRate,
  type CreateRates,
  type CreationBreaker,
  type ModelBreakers,
  type StorageHealth,
  type WebhookSilence,
} from '../jobs/ports.ts'
import type { Timings } from '../jobs/rules/timings.ts'
import { clockLua } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { singleFlight } from '../values/single-flight.ts'
import { rateOf, tokensFree, type AccountRates } from './rules/budget.ts'

const lua = (name: string): URL => new URL(name, import.meta.url)
const pauseClock = [clockLua, lua('pause-clock.lua')]
const beginProbe = loadScript(lua('begin-probe.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const endProbe = loadScript(lua('end-probe.lua'), { flags: ['allow-oom'], includes: pauseClock })
const endRefusal = loadScript(lua('end-refusal.lua'), { flags: ['allow-oom'], includes: pauseClock })
const halfOpenModels = loadScript(lua('half-open-models.lua'), {
  flags: ['allow-oom'],
  includes: [clockLua, lua('manual-clock.lua'), lua('model-breaker.lua')],
})
const pauseAccount = loadScript(lua('pause.lua'), { flags: ['allow-oom'], includes: pauseClock })

const readRate = loadScript(lua('read-rate.lua'), {
  flags: ['no-writes'],
  includes: [clockLua, lua('learned-rate.lua')],
})

const number = z.coerce.number()
const rateReply = z.tuple([number, number, number, z.string(), number, number, number, number])

/** The field that a breaker has which is not closed (model-breaker.lua). */
const OPENED = ' opened'

const pauseSchema = z.object({
  // A newer release may pause for a reason that this one does not know.
  reason: z.enum(['rate_limited', 'upstream', 'account', 'webhook', 'storage']).catch('upstream'),
  until: z.coerce.number().nullable(),
})

/** Whether an account may create now: its circuit breaker, its create budget, its webhooks, and the storage of outputs. */
export function createRedisCreationBreaker({
  redis,
  keys,
  accounts,
  timings,
  now,
}: {
  redis: Redis
  keys: JobKeys
  accounts: AccountRates
  timings: Pick<Timings, 'readTimeout' | 'troublePause' | 'rateQuiet' | 'rateDoubling'>
  /** Approximate time of Redis, ms. */
  now: () => number
}): ModelBreakers & CreationBreaker & StorageHealth & WebhookSilence & CreateRates {
  const pauseOf = singleFlight(async (account) => {
    const fields = ['paused_until', 'pause_reason', 'half_open'] as const
    const [until, reason, halfOpen] = await redis.hmget(keys.account(account), ...fields)
    if (until && Number(until) > now()) return pauseSchema.parse({ reason, until })
    return halfOpen ? pauseSchema.parse({ reason: halfOpen, until: null }) : null
  })

  const createRateOf = singleFlight(async (account): Promise<CreateRate> => {
    const creates = rateOf(accounts, account)
    const args = [creates.perMinute, creates.burst, timings.rateQuiet, timings.rateDoubling].map(String)
    const reply = rateReply.parse(await readRate(redis, [keys.account(account)], args))
    const [perMinute, burst, ceiling, quietSince, throttled, probing, arrival, micros] = reply
    return {
      perMinute,
      burst,
      free: tokensFree({ perMinute, burst }, arrival, micros),
      ceiling,
      quietSince: quietSince === '' ? null : Number(quietSince),
      throttled,
      probing,
    }
  })

  return {
    async beginProbe(account) {
      return Number(await beginProbe(redis, [keys.account(account)], [String(timings.readTimeout)])) === 1
    },

    async endProbe(account, result) {
      const { first, longest } = timings.troublePause
      const args = [result.well ? '1' : '0', String(first), String(longest), result.well ? '' : result.reason]
      await endProbe(redis, [keys.account(account)], args)
    },

    async endRefusal(account, reasons) {
      await endRefusal(redis, [keys.account(account)], [...reasons])
    },

    async pauseCreation(account, ms, reason) {
      await pauseAccount(redis, [keys.account(account)], [String(ms), reason])
    },

    pause: async (account) => (await pauseOf(account)).result,

    async halfOpenModels() {
      if ((await redis.exists(keys.modelBreakers)) === 1)
        await halfOpenModels(redis, [keys.modelBreakers, keys.pauses, keys.pauseClocks], [])
    },

    async failingModels() {
      const fields = await redis.hkeys(keys.modelBreakers)
      return fields.flatMap((field) => (field.endsWith(OPENED) ? field.slice(0, -OPENED.length) : [])).sort()
    },

    async storageFailed() {
      const at = now()
      await redis.hsetnx(keys.storage, 'failing_since', String(Math.round(at)))
      return at - Number(await redis.hget(keys.storage, 'failing_since'))
    },

    async storageWorked() {
      await redis.del(keys.storage)
    },

    async storageFailingFor() {
      const since = await redis.hget(keys.storage, 'failing_since')
      return since === null ? null : now() - Number(since)
    },

    createRate: async (account) => (await createRateOf(account)).result,

    async webhookCame(account) {
      await redis.hset(keys.account(account), 'silence', '0')
    },

    async webhooksSilent(account) {
      return Number(await redis.hget(keys.account(account), 'silence')) >= SILENT_FROM
    },
  }
}
