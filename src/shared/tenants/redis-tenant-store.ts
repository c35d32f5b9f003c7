import type { Redis } from 'ioredis'
import { z } from 'zod'
import { CLOCKS, type OwnKeep } from '../jobs/rules/keep.ts'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { singleFlight } from '../values/single-flight.ts'
import type { Admission, Caller, Charge, KeyMade, KeySecret, TenantStore } from './ports.ts'
import {
  DEFAULT_TENANT,
  LIMIT_NAMES,
  SCOPES,
  type ApiKey,
  type Limits,
  type Scope,
  type Tenant,
} from './rules/tenant.ts'
import type { TenantKeys } from './tenant-keys.ts'

/** Allowed when Redis is full: a client must still be able to cancel jobs. */
const admitScript = loadScript(new URL('admit.lua', import.meta.url), { flags: ['allow-oom'], includes: [clockLua] })

/** Rotation must be possible when Redis is full. */
const createKeyScript = loadScript(new URL('create-key.lua', import.meta.url), { flags: ['allow-oom'] })
const createKeyReply = z.tuple([z.enum(['made', 'known', 'replaced']), z.string()])

const admitReply = z.tuple([
  z.enum(['admitted', 'unknown', 'revoked', 'expired', 'suspended', 'limited', 'lost']),
  z.coerce.number(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.number(),
  z.enum(['tenant', 'token']),
  z.coerce.number(),
  z.string(),
  z.number(),
  z.number(),
])

/** The field of each retention clock. */
const KEEP_FIELDS = { payload: 'keep_payload', job: 'keep_job', files: 'keep_files' } as const
const FIELDS = [
  'created_at',
  'title',
  'suspended_at',
  'cors_origins',
  'mail_to_metadata',
  ...LIMIT_NAMES,
  ...Object.values(KEEP_FIELDS),
] as const

/** A null number is stored as an empty string; Infinity is stored as a word. */
const kept = (value: number | null): string => (value === null ? '' : String(value))
const keptFlag = (flag: boolean): string => (flag ? 'yes' : '')
const keptOrigins = (origins: readonly string[] | null): string => (origins === null ? '' : JSON.stringify(origins))
const optional = z
  .string()
  .default('')
  .transform((text) => (text === '' ? null : Number(text)))
const scopesOf = (text: string): Scope[] => SCOPES.filter((scope) => text.split(' ').includes(scope))

const tenantSchema = z.object({
  created_at: z.coerce.number(),
  title: z.string(),
  suspended_at: optional,
  /** JSON; empty: the deployment's origins */
  cors_origins: z.string().transform((text) => (text === '' ? null : z.array(z.string()).parse(JSON.parse(text)))),
  requests_per_minute: optional,
  queued_jobs: optional,
  stored_bytes: optional,
  stored_files: optional,
  mails_per_hour: optional,
  batch_jobs: optional,
  mail_to_metadata: z.string().transform((text) => text === 'yes'),
  keep_payload: optional,
  keep_job: optional,
  keep_files: optional,
})

const ownKeep = (values: { [Clock in keyof OwnKeep]-?: number | null }): OwnKeep =>
  Object.fromEntries(CLOCKS.flatMap((clock) => (values[clock] === null ? [] : [[clock, values[clock]]])))

const keySchema = z.object({
  id: z.string(),
  tenant: z.string(),
  title: z.string(),
  scopes: z.string().transform(scopesOf),
  created_at: z.coerce.number(),
  expires_at: optional,
  retires_at: optional,
  revoked_at: optional,
  last_used_at: optional,
  replaced_by: z
    .string()
    .default('')
    .transform((id) => id || null),
})

function keyFields(key: ApiKey, { digest, request }: KeySecret): Record<string, string> {
  return {
    id: key.id,
    digest,
    request,
    tenant: key.tenant,
    title: key.title,
    scopes: key.scopes.join(' '),
    created_at: String(key.created_at),
    expires_at: kept(key.expires_at),
    retires_at: kept(key.retires_at),
    revoked_at: kept(key.revoked_at),
  }
}

export function createRedisTenantStore(options: {
  redis: Redis
  keys: TenantKeys
  defaults: Limits
  /** The id of the deployment whose data may admit or refuse a request; null: the data of any deployment. */
  deployment: string | null
}): TenantStore {
  const { redis, keys, defaults, deployment } = options

  const now = (): Promise<number> => redisNow(redis)

  /** Concurrent requests with the same credentials share one script call, which admits as many of them as the budget allows. */
  const admitted = singleFlight(async (request, count) => {
    const { caller, charge }: { caller: Caller; charge: Charge } = JSON.parse(request)
    const rates = charge?.to === 'token' ? keys.tokenRequests(charge.subject) : keys.requests
    const budget = charge === null ? '0' : charge.to === 'token' ? String(charge.perMinute) : ''
    return admitReply.parse(
      await admitScript(
        redis,
        [keys.apiKey(caller.by === 'tenant' ? '' : caller.key), keys.tenants, rates, keys.requests, keys.deployment],
        [
          caller.by === 'key' ? caller.digest : '',
          caller.by === 'tenant' ? caller.tenant : '',
          String(defaults.requests_per_minute),
          budget,
          DEFAULT_TENANT,
          String(count),
          deployment ?? '',
        ],
      ),
    )
  })

  async function admit(caller: Caller, charge: Charge): Promise<Admission> {
    const { result, place } = await admitted(JSON.stringify({ caller, charge }))
    const [found, waitMs, tenant, scopes, perMinute, queued, clocks, room, of, narrow, batch, free, wholeIn] = result
    const status = found === 'admitted' && place >= room ? 'limited' : found
    const rate = { of, perMinute: narrow, free, wholeInMs: wholeIn }
    if (status === 'limited') return { status, waitMs, rate }
    if (status !== 'admitted') return { status }
    const batchLimit = batch === '' ? defaults.batch_jobs : Number(batch)
    const limits = {
      requests_per_minute: Number(perMinute),
      queued_jobs: queued === '' ? defaults.queued_jobs : Number(queued),
      ...(batchLimit === undefined ? {} : { batch_jobs: batchLimit }),
    }
    const [payload, job, files] = clocks.split(' ').map((text) => (text === '-' ? null : Number(text)))
    const keep = ownKeep({ payload: payload ?? null, job: job ?? null, files: files ?? null })
    return {
      status,
      tenant,
      keep,
      scopes: caller.by === 'tenant' ? [...SCOPES] : scopesOf(scopes),
      limits,
      rate: charge && rate,
    }
  }

  const field = (tenant: string, name: string): string => `${tenant}.${name}`

  async function tenantsOf(ids: string[]): Promise<Tenant[]> {
    if (ids.length === 0) return []
    const values = await redis.hmget(keys.tenants, ...ids.flatMap((id) => FIELDS.map((name) => field(id, name))))
    return ids.flatMap((id, i) => {
      const own = values.slice(i * FIELDS.length, (i + 1) * FIELDS.length)
      if (own[0] === null) return []
      const read = tenantSchema.parse(Object.fromEntries(FIELDS.map((name, at) => [name, own[at] ?? ''])))
      const { created_at, title, suspended_at, cors_origins, mail_to_metadata, ...numbers } = read
      const { keep_payload, keep_job, keep_files, ...limits } = numbers
      const keep = ownKeep({ payload: keep_payload, job: keep_job, files: keep_files })
      return [{ id, title, created_at, suspended_at, limits, keep, mail_to_metadata, cors_origins }]
    })
  }

  async function createTenant({
    id,
    created_at,
    title,
    suspended_at,
    limits,
    keep,
    mail_to_metadata,
    cors_origins,
  }: Tenant): Promise<boolean> {
    const { payload = null, job = null, files = null } = keep
    const clocks = { keep_payload: payload, keep_job: job, keep_files: files }
    const texts = { title, mail_to_metadata: keptFlag(mail_to_metadata), cors_origins: keptOrigins(cors_origins) }
    const fields = { created_at, suspended_at, ...texts, ...limits, ...clocks }
    const transaction = redis.multi().zadd(keys.tenantIds, 0, id)
    for (const name of FIELDS) {
      const value = fields[name]
      transaction.hsetnx(keys.tenants, field(id, name), typeof value === 'string' ? value : kept(value ?? null))
    }
    const replies = (await transaction.exec()) ?? []
    for (const [error] of replies) if (error) throw error
    return replies[1]?.[1] === 1
  }

  /** Creates the tenant `default` on first use. */
  async function ensureDefault(): Promise<void> {
    if ((await redis.hexists(keys.tenants, field(DEFAULT_TENANT, 'created_at'))) === 1) return
    const limits = { requests_per_minute: null, queued_jobs: null }
    await createTenant({
      id: DEFAULT_TENANT,
      title: 'Default',
      created_at: await now(),
      suspended_at: null,
      limits,
      mail_to_metadata: false,
      cors_origins: null,
      keep: {},
    })
  }

  async function keysOf(ids: string[]): Promise<ApiKey[]> {
    const records = await Promise.all(ids.map((id) => redis.hgetall(keys.apiKey(id))))
    return records.flatMap((record) => (record['id'] === undefined ? [] : [keySchema.parse(record)]))
  }

  async function writeKey(
    key: ApiKey,
    secret: KeySecret,
    old: { id: string; retiresAt: number } | null,
  ): Promise<KeyMade> {
    const names = [keys.apiKey(key.id), keys.apiKeys(key.tenant), ...(old ? [keys.apiKey(old.id)] : [])]
    const about = [key.id, String(key.created_at), old ? String(old.retiresAt) : '']
    const fields = Object.entries(keyFields(key, secret)).flat()
    const [status, detail] = createKeyReply.parse(await createKeyScript(redis, names, [...about, ...fields]))
    if (status === 'known') return { status, same: detail === '1' }
    return status === 'replaced' ? { status, by: detail } : { status }
  }

  return {
    admit,
    now,
    createTenant,

    async tenant(id) {
      if (id === DEFAULT_TENANT) await ensureDefault()
      return (await tenantsOf([id]))[0] ?? null
    },

    async tenants({ limit, after }) {
      await ensureDefault()
      const from = after === undefined ? '-' : `(${after}`
      return tenantsOf(await redis.zrange(keys.tenantIds, from, '+', 'BYLEX', 'LIMIT', 0, limit))
    },

    async stored(ids) {
      if (ids.length === 0) return []
      const counts = await redis.hmget(keys.stored, ...ids.flatMap((id) => [field(id, 'bytes'), field(id, 'files')]))
      return ids.map((_id, i) => ({ bytes: Number(counts[2 * i]), files: Number(counts[2 * i + 1]) }))
    },

    async changeTenant(id, { title, limits, keep, suspended, mail_to_metadata, cors_origins }) {
      const fields: Record<string, string> = {}
      if (title !== undefined) fields[field(id, 'title')] = title
      for (const name of LIMIT_NAMES) {
        const value = limits?.[name]
        if (value !== undefined) fields[field(id, name)] = kept(value)
      }
      if (mail_to_metadata !== undefined) fields[field(id, 'mail_to_metadata')] = keptFlag(mail_to_metadata)
      if (cors_origins !== undefined) fields[field(id, 'cors_origins')] = keptOrigins(cors_origins)
      for (const clock of CLOCKS) {
        const value = keep?.[clock]
        if (value !== undefined) fields[field(id, KEEP_FIELDS[clock])] = kept(value)
      }
      if (suspended !== undefined) {
        const since = suspended ? await redis.hget(keys.tenants, field(id, 'suspended_at')) : ''
        fields[field(id, 'suspended_at')] = suspended ? since || String(await now()) : ''
      }
      if (Object.keys(fields).length > 0) await redis.hset(keys.tenants, fields)
    },

    createKey: (key, secret) => writeKey(key, secret, null),
    key: async (id) => (await keysOf([id]))[0] ?? null,

    async keys(tenant, { limit, after }) {
      const rank = after === undefined ? null : await redis.zrevrank(keys.apiKeys(tenant), after)
      const from = rank === null ? 0 : rank + 1
      return keysOf(await redis.zrevrange(keys.apiKeys(tenant), from, from + limit - 1))
    },

    replaceKey: (id, retiresAt, key, secret) => writeKey(key, secret, { id, retiresAt }),

    async revokeKey(id) {
      if (!(await redis.hget(keys.apiKey(id), 'revoked_at')))
        await redis.hset(keys.apiKey(id), 'revoked_at', await now())
    },
  }
}
