import type { Redis } from 'ioredis'
import { z } from 'zod'
import { intervalOf, tokensFree, type Rate } from '../../limits/rules/budget.ts'
import type { StoredQuota } from '../../limits/rules/stored.ts'
import { STORED_LUA } from '../../limits/stored-script.ts'
import { clockLua, redisMicros, redisNow } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { singleFlight } from '../../values/single-flight.ts'
import { dueAttempt, dueEffect, keptFilesMember, parseDueMember } from '../record/due-member.ts'
import { KEEP_EVENTS, planCommit, planCreate, planPurge } from './commit-plan.ts'
import { applyCommit } from '../rules/apply-commit.ts'
import { settlementOf } from '../rules/commit-consequences.ts'
import { effectKey, type JobRecord } from '../rules/job.ts'
import { crowdKey, type JobKeys } from '../record/job-keys.ts'
import { SILENT_FROM, type JobStore } from '../ports.ts'
import { commitOf, decodeAttempts, decodeEffects, decodeHistory, decodeJob } from '../record/record-codec.ts'
import { MAX_RUNS, runTimeBucket, runTimeQuantile } from '../rules/run-times.ts'
import type { CommitRunner } from './commit-script.ts'
import { crowdsOf } from '../rules/sharing.ts'
import { keptFilesSchema } from '../rules/purge.ts'
import type { Timings } from '../rules/timings.ts'

const here = (name: string): URL => new URL(name, import.meta.url)
const limits = (name: string): URL => new URL(`../../limits/${name}`, import.meta.url)
const pauseClock = [clockLua, limits('pause-clock.lua')]
const loadJob = loadScript(here('load.lua'), { flags: ['no-writes'], includes: pauseClock })
const readJobs = loadScript(here('read.lua'), { flags: ['no-writes'] })
const claimLine = loadScript(here('claim-line.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const claimDue = loadScript(here('claim-due.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const writeProgress = loadScript(here('progress.lua'), { includes: [clockLua] })
const rememberRun = loadScript(here('remember-run.lua'))
const forgetKept = loadScript(here('forget-kept-files.lua'), { flags: ['allow-oom'], includes: [STORED_LUA] })
const passPlace = loadScript(here('pass-place.lua'))
const beginProbe = loadScript(limits('begin-probe.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const endProbe = loadScript(limits('end-probe.lua'), { flags: ['allow-oom'], includes: pauseClock })
const endRefusal = loadScript(limits('end-refusal.lua'), { flags: ['allow-oom'], includes: pauseClock })
const pauseAccount = loadScript(limits('pause.lua'), { flags: ['allow-oom'], includes: pauseClock })

/** Lists of texts, validated without copying, because every change reads a record. */
const isText = (value: unknown): boolean => typeof value === 'string'
const texts = z.custom<string[]>((list) => Array.isArray(list) && list.every(isText))
const textsOrNulls = z.custom<(string | null)[]>(
  (list) => Array.isArray(list) && list.every((value) => value === null || isText(value)),
)
const readReply = z.array(z.tuple([texts, textsOrNulls]))
const loadReply = z.tuple([z.coerce.number(), z.coerce.number(), z.coerce.number(), texts, texts, textsOrNulls])
const claimedLine = z.tuple([z.number()], z.string())
const idempotencySchema = z.object({ job: z.string(), body: z.string() })
const pauseSchema = z.object({
  // A newer release may pause for a reason that this one does not know.
  reason: z.enum(['rate_limited', 'upstream', 'account', 'webhook', 'storage']).catch('upstream'),
  until: z.coerce.number().nullable(),
})

export interface RedisJobStoreOptions {
  redis: Redis
  keys: JobKeys
  timings: Timings
  creates: Rate
  account: string
  keepEvents?: number
  commits: CommitRunner
  /** Waits until the last writes of this connection survive a power failure; throws when they do not. */
  confirmDurable?: () => Promise<void>
  /** Limits of stored files; absent: none. */
  quota?: StoredQuota
}

/** Delay until the runs of a process are written together, ms. */
const RUNS_WITHIN_MS = 250
/** Runs that are written together at most: newer ones weigh more, so the script must see them in parts. */
const RUNS_AT_ONCE = MAX_RUNS / 20

/** Collects durations of runs and writes those of a model together: they are a digest, in which a lost run is no loss. */
function collectRuns(writeRuns: (model: string, buckets: ReadonlyMap<number, number>) => Promise<unknown>) {
  let collected = new Map<string, Map<number, number>>()
  let count = 0
  let timer: NodeJS.Timeout | undefined
  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    count = 0
    const models = collected
    collected = new Map()
    await Promise.all([...models].map(([model, buckets]) => writeRuns(model, buckets)))
  }
  return {
    flush,
    add(model: string, ms: number): void {
      const buckets = collected.get(model) ?? new Map<number, number>()
      const bucket = runTimeBucket(ms)
      collected.set(model, buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1))
      const write = (): void => void flush().catch(() => undefined)
      if (++count >= RUNS_AT_ONCE) write()
      else timer ??= setTimeout(write, RUNS_WITHIN_MS).unref()
    },
  }
}

const NOTHING_KEPT = { tenant: '', bytes: 0, files: 0 }

export function createRedisJobStore(options: RedisJobStoreOptions): JobStore {
  const { redis, keys, timings, creates } = options
  const planOptions = {
    keys,
    timings,
    keepEvents: options.keepEvents ?? KEEP_EVENTS,
    ...(options.quota ? { quota: options.quota } : {}),
  }
  const interval = intervalOf(creates)
  const budget = { interval, tolerance: interval * (creates.burst - 1) }
  const { clock, run } = options.commits

  const confirm = options.confirmDurable ?? (() => Promise.resolve())

  const durations = collectRuns((model, buckets) =>
    rememberRun(redis, [keys.runTimes(model)], [String(MAX_RUNS), ...[...buckets].flat().map(String)]),
  )

  async function load(id: string): ReturnType<JobStore['load']> {
    const reply = loadReply.parse(
      await loadJob(redis, [keys.job(id), keys.outbox(id), keys.account(options.account), ...keys.documents(id)], []),
    )
    const [now, paused, silence, hash, outbox, documents] = reply
    clock.observe(now)
    const job = decodeJob({ id, hash, documents })
    if (job === null) return { now, paused, silence, state: null, commit: '' }
    return {
      now,
      paused,
      silence,
      state: { job, attempts: decodeAttempts(hash), effects: decodeEffects(outbox) },
      commit: commitOf(hash, job.rev),
    }
  }

  async function readMany(ids: string[]): Promise<JobRecord[]> {
    if (ids.length === 0) return []
    const names = ids.flatMap((id) => [keys.job(id), ...keys.documents(id)])
    const stored = readReply.parse(await readJobs(redis, names, []))
    return stored.flatMap(([hash, documents], i) => decodeJob({ id: ids[i] ?? '', hash, documents }) ?? [])
  }

  const pauseOf = singleFlight(async (account) => {
    const fields = ['paused_until', 'pause_reason', 'half_open'] as const
    const [until, reason, halfOpen] = await redis.hmget(keys.account(account), ...fields)
    if (until && Number(until) > clock.now()) return pauseSchema.parse({ reason, until })
    return halfOpen ? pauseSchema.parse({ reason: halfOpen, until: null }) : null
  })

  return {
    load,
    read: async (id) => (await readMany([id]))[0] ?? null,

    async list(tenant, { status, limit, before }) {
      const index = status ? keys.tenantStatus(tenant, status) : keys.tenantJobs(tenant)
      const from = before === undefined ? '+' : `(${before}`
      return readMany(await redis.zrange(index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit))
    },

    async create(job, idempotency, commitId, limits = { queuedJobs: null }) {
      const input = planCreate(job, idempotency, planOptions, limits)
      const notAfter = clock.now() + timings.acceptWithin
      const { result, now, detail } = await run('new_work', input, { id: commitId, revision: null, notAfter })
      if (result.status === 'applied' || result.status === 'repeated') await confirm()
      if (result.status !== 'applied') return result
      const times = { created_at: now, start_since: now, start_paused: Number(detail) }
      return { status: 'applied', state: { job: { ...job, rev: 1, ...times }, attempts: [], effects: [] } }
    },

    async commit(state, commit, cause, commitId, basis = '') {
      const input = planCommit(state, commit, cause, planOptions, clock.now())
      const head = { id: commitId, revision: state.job.rev, basis }
      // An intent that reaches Redis after its permit has expired must not be written, because its POST would not be sent.
      const { result, now, detail } = await (commit.takesBudget
        ? run('intent', input, { ...head, notAfter: clock.now() + timings.permit, budget })
        : run('always', input, head))
      if (commit.takesBudget && (result.status === 'applied' || result.status === 'repeated')) await confirm()
      if (result.status !== 'applied') return result
      const after = applyCommit(state, commit, now)
      return { status: 'applied', state: { ...after, job: settled(state.job, after.job, now, detail) } }
    },

    async joinCrowd(job, crowd) {
      if (crowdsOf(job).includes(crowd)) await redis.zadd(crowdKey(keys, crowd, job), '0', job.id)
    },

    async crowdOf(job) {
      const crowds = crowdsOf(job)
      const scores = await Promise.all(crowds.map((crowd) => redis.zscore(crowdKey(keys, crowd, job), job.id)))
      return crowds.find((_crowd, i) => scores[i] !== null) ?? null
    },

    async leaveCrowd(job) {
      const popped = await Promise.all(crowdsOf(job).map((crowd) => redis.zpopmin(crowdKey(keys, crowd, job))))
      return popped.flatMap(([id]) => (id === undefined ? [] : [id]))
    },

    async idempotent(entry) {
      const text = await redis.get(keys.idempotency(entry))
      if (text === null) return null
      // The durability of the earlier accept may not have been confirmed.
      await confirm()
      return idempotencySchema.parse(JSON.parse(text))
    },

    async progress(id, tenant, { progress, partial }) {
      const shown = [progress === null ? '' : String(progress), partial ?? '']
      await writeProgress(
        redis,
        [keys.job(id), keys.partial(id)],
        [...shown, keys.progress, JSON.stringify({ job: id, tenant })],
      )
    },

    async history(id) {
      return decodeHistory(Object.entries(await redis.hgetall(keys.job(id))).flat())
    },

    async unknownAttempts(account) {
      const flat = await redis.zrangebyscore(keys.unknown(account), '-inf', '+inf', 'WITHSCORES')
      return Array.from({ length: flat.length / 2 }, (_, i) => {
        const [job = '', n] = (flat[2 * i] ?? '').split(':')
        return { job, attempt: Number(n), intended_at: Number(flat[2 * i + 1]) }
      })
    },

    async unowned(account, predictions) {
      if (predictions.length === 0) return []
      const [owners, foreign] = await Promise.all([
        redis.mget(predictions.map((id) => keys.prediction(account, id))),
        redis.zmscore(keys.foreign(account), predictions),
      ])
      return predictions.filter((_id, i) => owners[i] === null && foreign[i] === null)
    },

    async openOwners(account, predictions) {
      const owners = new Map<string, { job: string; attempt: number }>()
      if (predictions.length === 0) return owners
      const members = await redis.mget(predictions.map((id) => keys.prediction(account, id)))
      const known = predictions.flatMap((id, i) => (members[i] ? [{ id, member: members[i] }] : []))
      if (known.length === 0) return owners
      const open = await redis.smismember(keys.open(account), ...known.map(({ member }) => member))
      for (const [i, { id, member }] of known.entries()) {
        const [job = '', n] = member.split(':')
        if (open[i] === 1) owners.set(id, { job, attempt: Number(n) })
      }
      return owners
    },

    async isForeign(account, prediction) {
      return (await redis.zscore(keys.foreign(account), prediction)) !== null
    },

    async rememberForeign(account, prediction) {
      const now = clock.now()
      await redis
        .pipeline()
        .zadd(keys.foreign(account), String(now), prediction)
        .zremrangebyscore(keys.foreign(account), '-inf', String(now - 2 * timings.outputLifetime))
        .exec()
    },

    async webhookCame() {
      await redis.hset(keys.account(options.account), 'silence', '0')
    },

    async webhooksSilent(account) {
      return Number(await redis.hget(keys.account(account), 'silence')) >= SILENT_FROM
    },

    now: () => redisNow(redis),

    async expectedRun(model) {
      await durations.flush()
      return runTimeQuantile(numbers(await redis.hgetall(keys.runTimes(model))), 0.9)
    },

    async runTimes(model) {
      await durations.flush()
      const runs = numbers(await redis.hgetall(keys.runTimes(model)))
      const [p50, p90] = [runTimeQuantile(runs, 0.5), runTimeQuantile(runs, 0.9)]
      return p50 === null || p90 === null ? null : { p50, p90 }
    },

    passPlace: async (id) => (await passPlace(redis, [keys.job(id)], ['1'])) === 1,
    async takePlaceBack(id) {
      await passPlace(redis, [keys.job(id)], ['0'])
    },

    rememberRun: durations.add,

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

    async storageFailed() {
      const now = clock.now()
      await redis.hsetnx(keys.storage, 'failing_since', String(Math.round(now)))
      return now - Number(await redis.hget(keys.storage, 'failing_since'))
    },

    async storageWorked() {
      await redis.del(keys.storage)
    },

    async storageFailingFor() {
      const since = await redis.hget(keys.storage, 'failing_since')
      return since === null ? null : clock.now() - Number(since)
    },

    async pauseCreation(account, ms, reason) {
      await pauseAccount(redis, [keys.account(account)], [String(ms), reason])
    },

    artifactsAtRisk: (ms) => redis.zcount(keys.storing, '-inf', String(Math.round(clock.now() + ms))),

    async joinLine(jobs) {
      const [, claims, length] = await Promise.all([
        jobs.length === 0 ? 0 : redis.zadd(keys.line, ...jobs.flatMap((id) => ['0', id])),
        redis.get(keys.lineClaims),
        redis.zcard(keys.line),
      ])
      return { claims: Number(claims ?? 0), length }
    },

    async claimLine(limit, isFirst) {
      const args = [String(limit), String(timings.dueLease), isFirst ? '1' : '0']
      const [left, ...jobs] = claimedLine.parse(await claimLine(redis, [keys.line, keys.lineClaims, keys.due], args))
      return { jobs, left }
    },

    async claimDue(limit) {
      const reply = z
        .array(z.string())
        .parse(
          await claimDue(
            redis,
            [keys.due, keys.swept, keys.account(options.account)],
            [String(timings.dueLease), String(limit)],
          ),
        )
      const [now = '0', ...members] = reply
      return { now: Number(now), members: members.flatMap(parseDueMember) }
    },

    allowIntents: (generation) => options.commits.allowIntents(generation),

    async sweptAgo() {
      const at = await redis.get(keys.swept)
      // A time in the future: the clock of Redis was set back, and the next sweep corrects it.
      return at === null ? null : Math.max(0, clock.now() - Number(at))
    },

    async rearm({ member }, inMs) {
      await redis.zadd(keys.due, 'XX', String(Math.round(clock.now() + inMs)), member)
    },

    async dropDue({ member }) {
      await redis.zrem(keys.due, member)
    },

    async claimRetention(limit) {
      const args = [String(timings.dueLease), String(limit)]
      const [now = '0', ...ids] = z
        .array(z.string())
        .parse(await claimDue(redis, [keys.retention, keys.swept, keys.account(options.account)], args))
      return { now: Number(now), ids }
    },

    async deferRetention({ job, attempts, effects }) {
      const open = attempts.filter(({ state }) => state !== 'closed').map(({ n }) => dueAttempt(job.id, n))
      const owed = effects.map((effect) => dueEffect(job.id, effectKey(effect)))
      const due = await redis.zmscore(keys.due, ...[...open, ...owed].map(({ member }) => member))
      const last = Math.max(...due.map((score) => Number(score ?? 0)))
      // Never before the end of the lease of its claim.
      await redis.zadd(keys.retention, 'XX', 'GT', String(last), job.id)
    },

    async purge(state, purge, commitId) {
      // Of the revision that the commit compares, or else the commit is refused.
      const hash = purge.remove === 'parts' ? await redis.hgetall(keys.job(state.job.id)) : {}
      const input = planPurge(state, purge, planOptions, Object.entries(hash).flat())
      const { result } = await run('always', input, { id: commitId, revision: state.job.rev })
      return result.status === 'applied' || result.status === 'repeated'
    },

    async keptFiles(job) {
      const text = await redis.get(keys.keptFiles(job))
      return text === null ? null : keptFilesSchema.parse(JSON.parse(text))
    },

    async forgetKeptFiles(job) {
      const names = [keys.keptFiles(job), keys.retention, keys.stored]
      for (;;) {
        const text = await redis.get(keys.keptFiles(job))
        const { tenant, bytes, files } = text === null ? NOTHING_KEPT : keptFilesSchema.parse(JSON.parse(text))
        const args = [text ?? '', keptFilesMember(job), tenant, String(bytes), String(files)]
        if (Number(await forgetKept(redis, names, args)) === 1) return
      }
    },

    openPredictions: (account) => redis.scard(keys.open(account)),

    pause: async (account) => (await pauseOf(account)).result,

    async createsFree(account) {
      const [arrival, now] = await Promise.all([redis.hget(keys.account(account), 'next_arrival'), redisMicros(redis)])
      return tokensFree(creates, Number(arrival ?? 0), now)
    },

    async deadLetter(letter) {
      await redis.xadd(keys.deadLetters, 'MAXLEN', '~', 1000, '*', ...Object.entries(letter).flat())
    },

    async counts() {
      const now = String(clock.now())
      const [phases, counters, due, overdue, line, deadLetters] = await Promise.all([
        redis.hgetall(keys.phases),
        redis.hgetall(keys.counters),
        redis.zcard(keys.due),
        redis.zcount(keys.due, '-inf', now),
        redis.zcard(keys.line),
        redis.xlen(keys.deadLetters),
      ])
      return { phases: numbers(phases), counters: numbers(counters), due, overdue, line, deadLetters }
    },
  }
}

/** The record after the script's settlement; `detail`: `<captured> <uncollected>`. */
function settled(before: JobRecord, after: JobRecord, now: number, detail: string): JobRecord {
  const settlement = settlementOf(before, after, now)
  if (settlement === null) return after
  const [captured = 0, uncollected = 0] = detail.split(' ').map(Number)
  return { ...after, captured, uncollected, charge_estimated: settlement.isEstimated }
}

const numbers = (row: Record<string, string>): Record<string, number> =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]))
