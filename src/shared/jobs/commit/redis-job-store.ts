import type { Redis } from 'ioredis'
import { z } from 'zod'
import { rateOf, type AccountRates } from '../../limits/rules/budget.ts'
import { manualClock } from '../../limits/rules/manual-clock.ts'
import type { StoredQuota } from '../../limits/rules/stored.ts'
import { STORED_LUA } from '../../limits/stored-script.ts'
import { clockLua, redisNow } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import { dueAttempt, dueEffect, keptFilesMember } from '../record/due-member.ts'
import { KEEP_EVENTS, planCommit, planCreate, planPurge, planQuestion } from './commit-plan.ts'
import { accountOf, applyCommit } from '../rules/apply-commit.ts'
import { settlementOf } from '../rules/commit-consequences.ts'
import { effectKey, jsonObject, type JobRecord } from '../rules/job.ts'
import { pauseScopesOf } from '../rules/place.ts'
import { splitInput } from '../rules/long-input.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { AcceptTerms } from '../rules/acceptance.ts'
import type { BudgetCharge, BudgetTerms } from '../../credits/rules/spending-budget.ts'
import type { AcceptRefusal, CommitResult, JobStore } from '../ports.ts'
import { overBudget, withBudgets, type Budgets } from './with-budgets.ts'
import { commitOf, decodeAttempts, decodeEffects, decodeHistory, decodeJob } from '../record/record-codec.ts'
import type { CommitRunner } from './commit-script.ts'
import { createRedisCreationBreaker } from '../../limits/redis-creation-breaker.ts'
import { createRedisDueIndex } from '../indexes/redis-due-index.ts'
import { createRedisCopyTurns } from '../indexes/redis-copy-turns.ts'
import { createRedisJobLine } from '../indexes/redis-job-line.ts'
import { createRedisJobLists } from '../indexes/redis-job-lists.ts'
import { createRedisPredictionIndex } from '../indexes/redis-prediction-index.ts'
import { createRedisRunTimes } from '../indexes/redis-run-times.ts'
import { createRedisTurns } from '../indexes/redis-turns.ts'
import { crowdsOf } from '../rules/sharing.ts'
import { keptFilesSchema } from '../rules/purge.ts'
import type { Timings } from '../rules/timings.ts'

const here = (name: string): URL => new URL(name, import.meta.url)
const limits = (name: string): URL => new URL(`../../limits/${name}`, import.meta.url)
const pauseClock = [clockLua, limits('pause-clock.lua')]
const loadJob = loadScript(here('load.lua'), { flags: ['no-writes'], includes: pauseClock })
const readJobs = loadScript(here('read.lua'), { flags: ['no-writes'] })
const writeProgress = loadScript(here('progress.lua'), { includes: [clockLua] })
const forgetKept = loadScript(here('forget-kept-files.lua'), { flags: ['allow-oom'], includes: [STORED_LUA] })
const passPlace = loadScript(here('pass-place.lua'))

/** Lists of texts, validated without copying, because every change reads a record. */
const isText = (value: unknown): boolean => typeof value === 'string'
const texts = z.custom<string[]>((list) => Array.isArray(list) && list.every(isText))
const textsOrNulls = z.custom<(string | null)[]>(
  (list) => Array.isArray(list) && list.every((value) => value === null || isText(value)),
)
const readReply = z.array(z.tuple([texts, textsOrNulls]))
const numbersOf = z.array(z.coerce.number())
const loadReply = z.tuple([z.coerce.number(), numbersOf, numbersOf, texts, texts, texts, textsOrNulls])
const idempotencySchema = z.object({ job: z.string(), body: z.string() })

export interface RedisJobStoreOptions {
  redis: Redis
  keys: JobKeys
  timings: Timings
  accounts: AccountRates
  keepEvents?: number
  commits: CommitRunner
  /** Waits until the last writes of this connection survive a power failure; throws when they do not. */
  confirmDurable?: () => Promise<void>
  /** Limits of stored files; absent: none. */
  quota?: StoredQuota
  /** Budgets that count accepted jobs; absent: none. */
  budgets?: Omit<Budgets, 'now'>
}

/** A hash as Redis returns it to a script. */
const pairsOf = (flat: readonly string[]): Map<string, string> =>
  new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])))

const NOTHING_KEPT = { tenant: '', bytes: 0, files: 0 }

export function createRedisJobStore(options: RedisJobStoreOptions): JobStore {
  const { redis, keys, timings, accounts } = options
  const names = Object.keys(accounts)
  const planOptions = {
    keys,
    timings,
    keepEvents: options.keepEvents ?? KEEP_EVENTS,
    ...(options.quota ? { quota: options.quota } : {}),
  }
  const { clock, run } = options.commits

  const confirm = options.confirmDurable ?? (() => Promise.resolve())

  async function load(id: string): ReturnType<JobStore['load']> {
    const reply = loadReply.parse(
      await loadJob(
        redis,
        [keys.job(id), keys.outbox(id), keys.pauseClocks, ...names.map(keys.account), ...keys.documents(id)],
        [String(names.length)],
      ),
    )
    const [now, all, silences, hash, outbox, manual, documents] = reply
    clock.observe(now)
    const job = decodeJob({ id, hash, documents })
    if (job === null) {
      const clocks = Object.fromEntries(names.map((name, at) => [name, all[at] ?? 0]))
      return { now, paused: 0, clocks, silence: Math.max(...silences), state: null, commit: '' }
    }
    const byHand = pairsOf(manual)
    const clockOf = (account: string, at: number): number =>
      (all[at] ?? 0) + manualClock(byHand, pauseScopesOf({ ...job, account }), now)
    const clocks = Object.fromEntries(names.map((name, at) => [name, clockOf(name, at)]))
    return {
      now,
      // An account that is no longer configured has no clock that runs.
      paused: clocks[job.account] ?? job.start_paused,
      clocks,
      silence: silences[names.indexOf(job.account)] ?? 0,
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

  async function createOnce(
    job: JobRecord,
    idempotency: { entry: string; body: string } | null,
    commitId: string,
    limits: AcceptTerms,
  ): Promise<CommitResult> {
    const input = planCreate(job, idempotency, planOptions, limits)
    const notAfter = clock.now() + timings.acceptWithin
    const { result, now, detail, owed } = await run('new_work', input, { id: commitId, revision: null, notAfter })
    if (result.status === 'applied' || result.status === 'repeated') await confirm()
    if (result.status === 'over_budget') return overBudget(result, limits.budgets)
    if (result.status !== 'applied') return result
    const times = { created_at: now, updated_at: now, start_since: now, start_paused: Number(detail) }
    const { job: record } = splitInput(job)
    const state = { job: { ...record, rev: 1, ...times }, attempts: [], effects: [] }
    return { status: 'applied', state, owed: input.owedBy({ owed }), woken: 0 }
  }

  const lists = createRedisJobLists({ redis, keys })
  const shared = { redis, keys, timings, accounts, now: clock.now }
  return {
    ...createRedisPredictionIndex(shared),
    ...createRedisDueIndex(shared),
    ...createRedisJobLine(shared),
    ...createRedisCopyTurns(shared),
    ...createRedisTurns(shared),
    ...createRedisRunTimes(shared),
    ...createRedisCreationBreaker(shared),
    load,
    read: async (id) => (await readMany([id]))[0] ?? null,

    async list(tenant, query) {
      const { prediction_id, before } = query
      if (prediction_id !== undefined) {
        const ids = await Promise.all(names.map((account) => lists.ownerIds(account, prediction_id)))
        const [owner] = await readMany(ids.flat())
        if (owner?.tenant === tenant)
          return { jobs: before === undefined || owner.id < before ? [owner] : [], last: null }
      }
      const { ids, last } = await lists.listIds(tenant, query)
      const isWanted = (job: JobRecord): boolean => job.prediction_id === (prediction_id ?? job.prediction_id)
      return { jobs: (await readMany(ids)).filter(isWanted), last }
    },

    async create(job, idempotency, commitId, limits = { queuedJobs: null }) {
      const accept = ([charged = job]: JobRecord[], budgets?: BudgetTerms): Promise<CommitResult> =>
        createOnce(charged, idempotency, commitId, { ...limits, budgets })
      return options.budgets ? withBudgets({ ...options.budgets, now: clock.now }, [job], accept) : accept([job])
    },

    async mayAccept(jobs, limits) {
      const [first] = jobs
      if (first === undefined) throw new Error('no job to accept')
      let charges: readonly BudgetCharge[] = []
      const ask = async (charged: readonly JobRecord[], budgets?: BudgetTerms): Promise<CommitResult> => {
        charges = budgets?.charges ?? []
        const { id } = first
        const input = planQuestion(charged, planOptions, { ...limits, budgets })
        const { result } = await run('new_work', input, { id, revision: null })
        if (result.status === 'applied') throw new Error('a question was written')
        return result.status === 'over_budget' ? overBudget(result, budgets) : result
      }
      const [result, queued] = await Promise.all([
        options.budgets ? withBudgets({ ...options.budgets, now: clock.now }, jobs, ask) : ask(jobs),
        redis.zcard(keys.tenantStatus(first.tenant, 'queued')),
      ])
      return { result: answerOf(result), charges, queued }
    },

    async commit(state, commit, cause, commitId, basis = '') {
      const input = planCommit(state, commit, cause, planOptions, clock.now())
      const account = accountOf(state, commit)
      const creates = commit.throttled || commit.takesBudget ? { creates: rateOf(accounts, account) } : {}
      const head = { id: commitId, revision: state.job.rev, basis, ...creates }
      // An intent that reaches Redis after its permit has expired must not be written, because its POST would not be sent.
      const {
        result,
        now,
        detail,
        owed: rows,
        woken,
      } = await (commit.takesBudget
        ? run('intent', input, {
            ...head,
            notAfter: clock.now() + timings.permit,
            takesToken: true,
            gate: {
              account,
              // The clock of the Redis that accepted it may have been ahead.
              created: state.job.created_at - timings.clockSkew,
              compared: commit.compared ?? [],
            },
          })
        : run('always', input, head))
      if (commit.takesBudget && (result.status === 'applied' || result.status === 'repeated')) await confirm()
      if (result.status === 'over_budget') return overBudget(result, undefined)
      if (result.status !== 'applied') return result
      const after = applyCommit(state, commit, now)
      const owed = input.owedBy({ owed: rows })
      const effects = [...after.effects, ...owed.flatMap((one) => ('job' in one ? one.notice : []))]
      return {
        status: 'applied',
        state: { ...after, job: settled(state.job, after.job, now, detail), effects },
        owed,
        woken,
      }
    },

    async joinCrowd(job, crowd) {
      if (job.batch !== null) await redis.zadd(keys.crowd(crowd, job.batch), '0', job.id)
    },

    async crowdOf(job) {
      const crowds = crowdsOf(job)
      const scores = await Promise.all(crowds.map((crowd) => redis.zscore(keys.crowd(crowd, job.batch ?? ''), job.id)))
      return crowds.find((_crowd, i) => scores[i] !== null) ?? null
    },

    async leaveCrowd(job) {
      const popped = await Promise.all(crowdsOf(job).map((crowd) => redis.zpopmin(keys.crowd(crowd, job.batch ?? ''))))
      return popped.flatMap(([id]) => (id === undefined ? [] : [id]))
    },

    async idempotent(entry) {
      const text = await redis.get(keys.idempotency(entry))
      if (text === null) return null
      // The durability of the earlier accept may not have been confirmed.
      await confirm()
      return idempotencySchema.parse(JSON.parse(text))
    },

    async whole(job) {
      const text = job.input_bytes === null ? null : await redis.get(keys.input(job.id))
      return text === null ? job : { ...job, input: jsonObject.parse(JSON.parse(text)), input_bytes: null }
    },

    logsOf: (id) => redis.get(keys.logs(id)),

    async progress(id, tenant, { progress, partial, logs = '' }, own = false) {
      const shown = [progress === null ? '' : String(progress), partial ?? '', logs]
      const written = await writeProgress(
        redis,
        [keys.job(id), keys.partial(id), keys.logs(id), keys.subscribed(tenant)],
        [...shown, keys.progress, JSON.stringify({ job: id, tenant }), own ? '1' : '0'],
      )
      return written === 2
    },

    async history(id) {
      return decodeHistory(Object.entries(await redis.hgetall(keys.job(id))).flat())
    },

    now: () => redisNow(redis),

    passPlace: async (id) => (await passPlace(redis, [keys.job(id)], ['1'])) === 1,
    async takePlaceBack(id) {
      await passPlace(redis, [keys.job(id)], ['0'])
    },

    artifactsAtRisk: (ms) => redis.zcount(keys.storing, '-inf', String(Math.round(clock.now() + ms))),

    allowIntents: (generation, account) => options.commits.allowIntents(generation, account),

    async deferRetention({ job, attempts, effects }) {
      const open = attempts.filter(({ state }) => state !== 'closed').map(({ n }) => dueAttempt(job.id, n))
      const owed = effects.flatMap((effect) => (effect.kind === 'carry' ? [] : dueEffect(job.id, effectKey(effect))))
      const members = [...open, ...owed].map(({ member }) => member)
      const due = members.length === 0 ? [] : await redis.zmscore(keys.due, ...members)
      // What a notification carries is not due: its end is looked for now and then.
      const carried = owed.length < effects.length ? Math.round(clock.now() + timings.ringAgain.max) : 0
      const last = Math.max(carried, ...due.map((score) => Number(score ?? 0)))
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

/** What a question was answered with. */
function answerOf(result: CommitResult): { kind: 'allowed' } | AcceptRefusal {
  switch (result.status) {
    case 'allowed':
    case 'beyond':
      return { kind: result.status }
    case 'full':
      return { kind: 'full', limit: result.limit }
    case 'short':
      return { kind: 'short', missing: result.missing }
    case 'over_quota':
      return { kind: 'over_quota', beyond: result.beyond }
    case 'over_budget':
      return { kind: 'over_budget', charge: result.charge, used: result.used }
    case 'budgets_changed':
      return { kind: 'too_late' }
    default:
      throw new Error(`unexpected answer to a question: ${result.status}`)
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
