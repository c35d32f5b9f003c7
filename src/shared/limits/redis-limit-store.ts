import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ServiceError } from '../errors/service-error.ts'
import { jsonObject } from '../jobs/rules/job.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { ofScope } from '../jobs/record/line-member.ts'
import { accountScope, brokenTarget, isAccountScope } from '../jobs/rules/place.ts'
import { clockLua } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { JsonObject } from '../values/json.ts'
import type { AccountRates } from './rules/budget.ts'
import type { LimitStore, ManualPause, OperatorChange, ScopeLimits } from './ports.ts'
import { LIMIT_NAMES, OPERATOR_ACTIONS, UNLIMITED, type LimitName } from './rules/limit-requests.ts'

const script = (name: string) =>
  loadScript(new URL(name, import.meta.url), {
    flags: ['allow-oom'],
    includes: [clockLua, new URL('manual-clock.lua', import.meta.url)],
  })
const hold = script('hold.lua')
const resume = script('resume.lua')

const pauseText = z.object({ reason: z.string(), by: z.string() })
const changeEntry = z.object({
  by: z.string(),
  action: z.enum(OPERATOR_ACTIONS),
  scope: z.string(),
  detail: z.string().transform((text) => jsonObject.parse(JSON.parse(text))),
})

/** Entries of the log of operators' changes. */
const KEEP_CHANGES = 10_000
const DEFAULT = 'default '
/** The limit that is not in the hash of limits but with the account, where each create reads it (learned-rate.lua). */
const CEILING = 'ceiling'
const SINCE = 'since '

/** `accounts`: the configured budgets of creates. */
export function createRedisLimitStore({
  redis,
  keys,
  accounts,
}: {
  redis: Redis
  keys: JobKeys
  accounts: AccountRates
}): LimitStore {
  const accountOf = (scope: string): string | null =>
    isAccountScope(scope) ? scope.slice(accountScope('').length) : null

  /** `fields`: the hash of limits. */
  async function shown(scope: string, fields: Record<string, string>): Promise<ScopeLimits> {
    const account = accountOf(scope)
    const configured = account === null ? undefined : accounts[account]?.perMinute
    const flight = ofScope(scope)
    const [ceiling, inFlight] = await Promise.all([
      configured === undefined || account === null ? null : redis.hget(keys.account(account), CEILING),
      redis.zlexcount(keys.flight, flight.first, flight.after),
    ])
    const own = (name: LimitName): string | undefined =>
      name === 'creates_per_minute' ? (ceiling ?? undefined) : fields[`${name} ${scope}`]
    const value = (name: LimitName): number | null => {
      const text = own(name) ?? fields[`${DEFAULT}${name} ${scope}`]
      if (text !== undefined) return text === '' ? null : Number(text)
      return name === 'creates_per_minute' ? (configured ?? null) : null
    }
    return {
      scope,
      values: {
        concurrency: value('concurrency'),
        per_tenant: value('per_tenant'),
        weight: value('weight'),
        creates_per_minute: value('creates_per_minute'),
      },
      set: LIMIT_NAMES.filter((name) => own(name) !== undefined),
      inFlight,
    }
  }

  const entryOf = (by: string, action: OperatorChange['action'], scope: string, detail: JsonObject): string[] => [
    'by',
    by,
    'action',
    action,
    'scope',
    scope,
    'detail',
    JSON.stringify(detail),
  ]
  const pauseKeys = [keys.pauses, keys.pauseClocks, keys.operatorChanges]

  return {
    async limits() {
      const fields = await redis.hgetall(keys.limits)
      const named = Object.keys(fields).map((field) => field.slice(field.lastIndexOf(' ') + 1))
      const scopes = new Set([...Object.keys(accounts).map(accountScope), ...named])
      return Promise.all([...scopes].sort().map((scope) => shown(scope, fields)))
    },

    async change({ scope, ...changes }, by) {
      const account = accountOf(scope)
      if (account !== null && accounts[account] === undefined)
        throw new ServiceError('not_found', `The account ${account} does not exist.`)
      const all = redis.multi()
      const detail: JsonObject = {}
      for (const name of LIMIT_NAMES) {
        const value = changes[name]
        if (value === undefined) continue
        const [key, field] =
          name === 'creates_per_minute' && account !== null
            ? [keys.account(account), CEILING]
            : [keys.limits, `${name} ${scope}`]
        if (value === null) all.hdel(key, field)
        else all.hset(key, field, value === UNLIMITED ? '' : String(value))
        detail[name] = value
      }
      all.xadd(keys.operatorChanges, 'MAXLEN', '~', KEEP_CHANGES, '*', ...entryOf(by, 'limits', scope, detail))
      for (const [error] of (await all.exec()) ?? []) if (error) throw error
      return shown(scope, await redis.hgetall(keys.limits))
    },

    async pauses() {
      const [found, clocks] = await Promise.all([redis.hgetall(keys.pauses), redis.hgetall(keys.pauseClocks)])
      return Object.entries(found)
        .filter(([scope]) => brokenTarget(scope) === null)
        .map(([scope, text]): ManualPause => ({
          scope,
          ...pauseText.parse(JSON.parse(text)),
          since: Number(clocks[SINCE + scope]),
        }))
        .sort((a, b) => a.since - b.since)
    },

    async pausedBy(scopes) {
      const found = await redis.hmget(keys.pauses, ...scopes)
      const at = found.findIndex((text) => text !== null)
      const [scope, text] = [scopes[at], found[at]]
      return scope === undefined || typeof text !== 'string'
        ? null
        : { scope, reason: pauseText.parse(JSON.parse(text)).reason }
    },

    async pause(scope, reason, by) {
      const entry = entryOf(by, 'pause', scope, { reason })
      const args = [scope, JSON.stringify({ reason, by }), String(KEEP_CHANGES), ...entry]
      return { scope, reason, by, since: Number(await hold(redis, pauseKeys, args)) }
    },

    async resume(scope, by) {
      const args = [scope, String(KEEP_CHANGES), ...entryOf(by, 'resume', scope, {})]
      return Number(await resume(redis, pauseKeys, args)) === 1
    },

    async changes(limit) {
      const entries = await redis.xrevrange(keys.operatorChanges, '+', '-', 'COUNT', limit)
      return entries.map(([id, fields]) => {
        const pairs = fields.flatMap((text, i) => (i % 2 === 0 ? [[text, fields[i + 1] ?? '']] : []))
        return { id, at: Number(id.split('-')[0]), ...changeEntry.parse(Object.fromEntries(pairs)) }
      })
    },
  }
}
