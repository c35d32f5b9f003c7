import type { Redis } from 'ioredis'
import { z } from 'zod'
import { loadScript } from '../redis/script.ts'
import { applyCommit, planCommit, planCreate, planPurge, type CommitScriptInput } from './commit-plan.ts'
import type { JobRecord, JobState } from './job.ts'
import type { JobKeys } from './job-keys.ts'
import type { CommitResult, DueMember, JobStore } from './ports.ts'
import { decodeAttempts, decodeEffects, decodeJob } from './record-codec.ts'
import type { Timings } from './timings.ts'

const here = (name: string): URL => new URL(name, import.meta.url)
const loadJob = loadScript(here('load.lua'), ['no-writes'])
/** New work is refused when Redis is full; finishing, cancelling and cleaning go on. */
const commitNewWork = loadScript(here('commit.lua'))
const commitAlways = loadScript(here('commit.lua'), ['allow-oom'])
const claimDue = loadScript(here('claim-due.lua'), ['allow-oom'])
const writeProgress = loadScript(here('progress.lua'))

const commitReply = z.tuple([
  z.enum(['applied', 'repeated', 'stale', 'taken', 'too_late', 'limited', 'paused']),
  z.coerce.number(),
  z.coerce.string(),
])
const loadReply = z.tuple([z.coerce.number(), z.array(z.string()), z.array(z.string()), z.array(z.string())])
const idempotencySchema = z.object({ job: z.string(), body: z.string() })
const pauseSchema = z.object({ reason: z.enum(['rate_limited', 'unreachable', 'account']), until: z.coerce.number() })

export interface RedisJobStoreOptions {
  redis: Redis
  keys: JobKeys
  timings: Timings
  /** Tokens per minute and how many may come at once. */
  creates: { perMinute: number; burst: number }
  keepEvents?: number
}

export function createRedisJobStore(options: RedisJobStoreOptions): JobStore {
  const { redis, keys, timings, creates } = options
  const planOptions = { keys, timings, keepEvents: options.keepEvents ?? 100_000 }
  const interval = 60_000_000 / creates.perMinute
  const budget = [String(interval), String(interval * (creates.burst - 1))]
  /** Redis' clock minus ours, ms: only for the promise that a late accept never runs. */
  let clockOffset = 0

  async function run(
    script: typeof commitAlways,
    input: CommitScriptInput,
    head: [commitId: string, revision: string, notAfter: string, interval: string, tolerance: string],
  ): Promise<{ result: Exclude<CommitResult, { status: 'applied' }> | { status: 'applied' }; now: number }> {
    const [status, now, detail] = commitReply.parse(await script(redis, input.keys, [...head, ...input.operations]))
    clockOffset = now - Date.now()
    if (status === 'limited' || status === 'paused') return { result: { status, waitMs: Number(detail) }, now }
    if (status === 'taken') return { result: { status, holder: detail }, now }
    return { result: { status }, now }
  }

  async function load(id: string): ReturnType<JobStore['load']> {
    const reply = loadReply.parse(await loadJob(redis, [keys.job(id), keys.attempts(id), keys.outbox(id)], []))
    const [now, jobFields, attemptFields, outboxFields] = reply
    clockOffset = now - Date.now()
    const job = decodeJob(jobFields)
    if (job === null) return { now, state: null }
    return { now, state: { job, attempts: decodeAttempts(attemptFields), effects: decodeEffects(outboxFields) } }
  }

  async function readMany(ids: string[]): Promise<JobRecord[]> {
    if (ids.length === 0) return []
    const pipeline = redis.pipeline()
    for (const id of ids) pipeline.hgetall(keys.job(id))
    const replies = (await pipeline.exec()) ?? []
    return replies.flatMap(([error, fields]) => {
      if (error) throw error
      const job = decodeJob(Object.entries(z.record(z.string(), z.string()).parse(fields)).flat())
      return job ? [job] : []
    })
  }

  return {
    load,
    read: async (id) => (await readMany([id]))[0] ?? null,

    async list(tenant, { status, limit, before }) {
      const index = status ? keys.tenantStatus(tenant, status) : keys.tenantJobs(tenant)
      const from = before === undefined ? '+' : `(${before}`
      return readMany(await redis.zrange(index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit))
    },

    async create(job, idempotency, commitId) {
      const input = planCreate(job, idempotency, planOptions)
      const notAfter = String(Date.now() + clockOffset + timings.acceptWithin)
      const { result, now } = await run(commitNewWork, input, [commitId, '', notAfter, '', ''])
      if (result.status !== 'applied') return result
      const state: JobState = { job: { ...job, rev: 1, created_at: now }, attempts: [], effects: [] }
      return { status: 'applied', state }
    },

    async commit(state, commit, commitId) {
      const input = planCommit(state, commit, planOptions)
      const [perToken = '', tolerance = ''] = commit.takesBudget ? budget : []
      const script = commit.takesBudget ? commitNewWork : commitAlways
      const head = [commitId, String(state.job.rev), '', perToken, tolerance] as const
      const { result, now } = await run(script, input, [...head])
      return result.status === 'applied' ? { status: 'applied', state: applyCommit(state, commit, now) } : result
    },

    async idempotent(entry) {
      const text = await redis.get(keys.idempotency(entry))
      return text === null ? null : idempotencySchema.parse(JSON.parse(text))
    },

    async progress(id, tenant, progress) {
      await writeProgress(redis, [keys.job(id)], [String(progress), keys.progress, JSON.stringify({ job: id, tenant })])
    },

    async claimDue(limit) {
      const reply = z
        .array(z.string())
        .parse(await claimDue(redis, [keys.due], [String(timings.dueLease), String(limit)]))
      const [now = '0', ...members] = reply
      return { now: Number(now), members: members.flatMap(parseDueMember) }
    },

    async rearm({ member }, inMs) {
      await redis.zadd(keys.due, 'XX', String(Math.round(Date.now() + clockOffset + inMs)), member)
    },

    async dropDue({ member }) {
      await redis.zrem(keys.due, member)
    },

    async claimRetention(limit) {
      const args = [String(timings.dueLease), String(limit)]
      const [now = '0', ...ids] = z.array(z.string()).parse(await claimDue(redis, [keys.retention], args))
      return { now: Number(now), ids }
    },

    async purge(state, stage, commitId) {
      const input = planPurge(state, stage, planOptions)
      await run(commitAlways, input, [commitId, String(state.job.rev), '', '', ''])
    },

    openPredictions: (account) => redis.scard(keys.open(account)),

    async pause(account) {
      const [until, reason] = await redis.hmget(keys.account(account), 'paused_until', 'pause_reason')
      if (!until || Number(until) <= Date.now() + clockOffset) return null
      return pauseSchema.parse({ reason, until })
    },

    async deadLetter(letter) {
      await redis.xadd(keys.deadLetters, 'MAXLEN', '~', 1000, '*', ...Object.entries(letter).flat())
    },

    async counts() {
      const now = String(Date.now() + clockOffset)
      const [phases, counters, due, overdue, deadLetters] = await Promise.all([
        redis.hgetall(keys.phases),
        redis.hgetall(keys.counters),
        redis.zcard(keys.due),
        redis.zcount(keys.due, '-inf', now),
        redis.xlen(keys.deadLetters),
      ])
      return { phases: numbers(phases), counters: numbers(counters), due, overdue, deadLetters }
    },
  }
}

const numbers = (row: Record<string, string>): Record<string, number> =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]))

/** `job:<id>`, `attempt:<id>:<n>`, `effect:<id>:<key>`; anything else is not ours and left alone. */
function parseDueMember(member: string): DueMember[] {
  const [kind, job = '', ...rest] = member.split(':')
  if (kind === 'job') return [{ kind, member, job }]
  if (kind === 'attempt') return [{ kind, member, job, attempt: Number(rest[0]) }]
  if (kind === 'effect') return [{ kind, member, job, effect: rest.join(':') }]
  return []
}
