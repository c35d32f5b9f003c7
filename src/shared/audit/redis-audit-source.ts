import type { ChainableCommander, Redis } from 'ioredis'
import { z } from 'zod'
import { decodeBatch } from '../batches/batch-codec.ts'
import { decodeUpload } from '../inputs/upload-codec.ts'
import { attemptId, dueAttempt, dueBatch, dueEffect, dueJob } from '../jobs/record/due-member.ts'
import { ABSENT_IN_JOB, effectKey, STATUSES, type JobState } from '../jobs/rules/job.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { flightMember } from '../jobs/record/line-member.ts'
import { scopesOf } from '../jobs/rules/place.ts'
import { labelMembers } from '../jobs/record/label-member.ts'
import {
  decodeAttempts,
  decodeEffects,
  decodeJob,
  decoderOf,
  storedField,
  NewerRecordError,
  storedJob,
} from '../jobs/record/record-codec.ts'
import type { StoredAmount } from '../limits/rules/stored.ts'
import { redisNow, timeReply } from '../redis/clock.ts'
import {
  entryTarget,
  type AuditSource,
  type FoundBatch,
  type FoundUpload,
  type KeyNames,
  type Loaded,
  type StoredCount,
} from './audit-source.ts'
import { readKept } from './check-files.ts'
import type { LoadedBatch } from './rules/check-batch.ts'
import type { LoadedJob } from './rules/check-job.ts'
import type { Problem } from './rules/finding.ts'
import { noKeyNames, sortKeyName } from './rules/key-names.ts'
import { ZOD_ERRORS } from '../errors/zod-errors.ts'

const flatten = z.record(z.string(), z.string()).transform((fields) => Object.entries(fields).flat())
const texts = z.record(z.string(), z.string())
const byName = ([a]: [string, string], [b]: [string, string]): number => (a < b ? -1 : 1)
const score = z.union([z.null(), z.coerce.number()])
const text = z.string().nullable()
/** A number of a hash; 0 when it is absent. */
const number = z.coerce.number()
const counted = z.tuple([number, number])
const countedJob = z.tuple([z.string().nullable(), number, number])
const countedUpload = z.tuple([z.string().nullable(), number, text])

const NO_EVENT = '0-0'

/** Limit of repeated reads of a record that changes between two reads. */
const MAX_READS = 20

const READ_AT_ONCE = 500

const decodeBatchJob = decoderOf(['id', 'phase', 'status', 'attempt', 'estimate', 'captured', 'uncollected'])

/** Reads with SCAN, which does not block Redis. The connection must be exclusive to the audit, because repairs use WATCH. */
export function createRedisAuditSource({ redis, keys }: { redis: Redis; keys: JobKeys }): AuditSource {
  async function run(transaction: ChainableCommander): Promise<unknown[]> {
    const replies = (await transaction.exec()) ?? []
    return replies.map(([error, reply]) => {
      if (error) throw error
      return reply
    })
  }

  async function load(id: string): Promise<Loaded> {
    try {
      return await look(id)
    } catch (error) {
      // The key of the record holds another type.
      if (error instanceof Error && error.message.startsWith('WRONGTYPE'))
        return { kind: 'broken', phase: '', detail: error.message }
      throw error
    }
  }

  async function look(id: string): Promise<Loaded> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const [hash, documents, outbox] = await run(
        redis.multi().hgetall(keys.job(id)).mget(keys.documents(id)).hgetall(keys.outbox(id)),
      )
      const stored = storedJob(id, hash, documents)
      if (stored.hash.length === 0) return { kind: 'missing' }
      const phase = storedField(stored.hash, 'phase')
      try {
        const record = decodeJob(stored)
        if (record === null) return { kind: 'missing' }
        const rows = flatten.parse(outbox)
        const state: JobState = {
          job: record,
          attempts: decodeAttempts(stored.hash),
          effects: decodeEffects(rows),
        }
        const names = rows.filter((_, i) => i % 2 === 0)
        const seen = await lookAround(state, names)
        if (seen?.isDraft) return { kind: 'draft' }
        if (seen) return { kind: 'job', phase, loaded: seen.loaded }
      } catch (error) {
        if (error instanceof NewerRecordError) return { kind: 'newer', phase }
        if (error instanceof z.ZodError || error instanceof SyntaxError)
          return { kind: 'broken', phase, detail: firstIssue(error) }
        throw error
      }
    }
    throw new Error(`job ${id} changed ${MAX_READS} times while it was being read`)
  }

  /** Reads everything that names the job, in one transaction; null when the job has changed since it was read. */
  async function lookAround(
    state: JobState,
    outbox: string[],
  ): Promise<{ isDraft: boolean; loaded: LoadedJob } | null> {
    const { job, attempts, effects } = state
    const ids = attempts.map(({ n }) => attemptId(job.id, n))
    const dueNames = [
      dueJob(job.id),
      ...attempts.map(({ n }) => dueAttempt(job.id, n)),
      ...effects.map((effect) => dueEffect(job.id, effectKey(effect))),
    ].map(({ member }) => member)
    const accountOf = new Map(attempts.map(({ n, account }) => [attemptId(job.id, n), account]))
    const ownerOf = new Map(
      attempts.flatMap(({ prediction_id, account }): [string, string][] =>
        prediction_id === null ? [] : [[prediction_id, account]],
      ),
    )
    const owned = [...ownerOf.keys()]
    const all = redis
      .multi()
      .time()
      .hget(keys.job(job.id), 'rev')
      .zscore(keys.tenantJobs(job.tenant), job.id)
      .zscore(keys.retention, job.id)
      .get(keys.idempotency(job.idempotency ?? ''))
      .zmscore(keys.flight, ...scopesOf(job).map((scope) => flightMember(scope, job.id)))
      .hget(keys.batch(job.batch ?? ''), 'state')
      .zscore(keys.batchJobs(job.batch ?? ''), job.id)
      .hmget(keys.job(job.id), 'counted_bytes', 'counted_files')
      .exists(keys.logs(job.id))
      .exists(keys.input(job.id))
    for (const status of STATUSES) all.zscore(keys.tenantStatus(job.tenant, status), job.id)
    for (const name of dueNames) all.zscore(keys.due, name)
    for (const id of ids) all.sismember(keys.open(accountOf.get(id) ?? job.account), id)
    for (const id of ids) all.zscore(keys.unknown(accountOf.get(id) ?? job.account), id)
    for (const id of ids) all.zscore(keys.storing, id)
    for (const [id, account] of ownerOf) all.get(keys.prediction(account, id))
    const carried = effects.flatMap((effect) => (effect.kind === 'carry' ? effect.notification : []))
    for (const id of carried) all.hget(keys.notification(id), 'state')
    const members = labelMembers(job)
    for (const member of members) all.zscore(keys.tenantLabels(job.tenant), member)
    all.hkeys(keys.outbox(job.id))
    const replies = await run(all)
    const take = <T>(schema: z.ZodType<T>): T => schema.parse(replies.shift(), ZOD_ERRORS)
    const scores = <K>(names: readonly K[]): Map<K, number> =>
      new Map(
        names.flatMap((name): [K, number][] => {
          const found = take(score)
          return found === null ? [] : [[name, found]]
        }),
      )
    const now = take(timeReply)
    if (take(text) !== String(job.rev)) return null
    const numbers = attempts.map(({ n }) => n)
    const inTenantIndex = take(score) !== null
    const retention = take(score)
    const entry = take(text)
    const entryOf = entry === null ? null : entryTarget(entry)
    const held = take(z.array(score))
    const flight = scopesOf(job).filter((_scope, i) => held[i] !== null)
    const batchState = take(text)
    const batchPlace = take(score)
    const [countedBytes, countedFiles] = take(counted)
    const hasLogs = take(z.number()) === 1
    const hasInput = take(z.number()) === 1
    const loaded = {
      now,
      state,
      outbox,
      inTenantIndex,
      retention,
      idempotency: entryOf?.kind === 'job' ? entryOf.id : null,
      flight,
      batchPlace,
      hasBatch: batchState !== null,
      counted: { bytes: countedBytes, files: countedFiles },
      hasLogs,
      hasInput,
      inStatusIndexes: [...scores(STATUSES).keys()],
      due: scores(dueNames),
      open: new Set(numbers.filter(() => take(z.number()) === 1)),
      unknown: scores(numbers),
      storing: scores(numbers),
      owners: new Map(owned.map((id) => [id, take(text)])),
      carried: new Map(carried.map((id) => [id, take(text)])),
      labels: [...scores(members).keys()],
    }
    const rows = take(z.array(z.string()))
    // Rows that do not belong to the revision may have been removed since it was read: notices, and what notifications carry.
    const isLeft = (row: string): boolean => !outbox.includes(row) || rows.includes(row)
    const left = { ...state, effects: effects.filter((effect) => isLeft(effectKey(effect))) }
    return {
      isDraft: batchState === 'draft',
      loaded: { ...loaded, state: left, outbox: outbox.filter(isLeft) },
    }
  }

  async function loadBatch(id: string): Promise<FoundBatch> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      try {
        const loaded = await lookAtBatch(id)
        if (loaded === 'missing') return { kind: 'missing' }
        if (loaded) return { kind: 'batch', loaded }
      } catch (error) {
        if (error instanceof NewerRecordError) return { kind: 'newer' }
        if (error instanceof z.ZodError || error instanceof SyntaxError)
          return { kind: 'broken', detail: firstIssue(error) }
        if (error instanceof Error && error.message.startsWith('WRONGTYPE'))
          return { kind: 'broken', detail: error.message }
        throw error
      }
    }
    throw new Error(`batch ${id} changed ${MAX_READS} times while it was being read`)
  }

  /** Reads the batch and all its jobs in one transaction; null when its list of jobs has changed since it was read. */
  async function lookAtBatch(id: string): Promise<LoadedBatch | 'missing' | null> {
    const ids = await redis.zrange(keys.batchJobs(id), '0', '-1')
    const tenant = (await redis.hget(keys.batch(id), 'tenant')) ?? ''
    const all = redis
      .multi()
      .time()
      .hgetall(keys.batch(id))
      .zrange(keys.batchJobs(id), '0', '-1')
      .zrange(keys.batchLive(id), '0', '-1')
      .zscore(keys.tenantBatches(tenant), id)
      .zscore(keys.due, dueBatch(id).member)
      .zscore(keys.retention, id)
    for (const job of ids) all.hgetall(keys.job(job)).mget(keys.documents(job))
    const [time, hash, jobs, live, inTenant, due, retention, ...records] = await run(all)
    const fields = z.record(z.string(), z.string()).parse(hash)
    const batch = decodeBatch(fields)
    if (batch === null) return 'missing'
    if (z.array(z.string()).parse(jobs).join() !== ids.join()) return null
    return {
      now: timeReply.parse(time),
      batch,
      committed: Number(fields.committed ?? 0),
      jobs: ids.map((job, i) => [job, decodeBatchJob(storedJob(job, records[2 * i], records[2 * i + 1]))]),
      live: z.array(z.string()).parse(live),
      inTenantIndex: score.parse(inTenant) !== null,
      due: score.parse(due),
      retention: score.parse(retention),
    }
  }

  /** Reads records in pipelines. Unreadable ones are left out, because the checks of records report them. */
  async function readEach<T>(
    ids: readonly string[],
    read: (pipeline: ChainableCommander, id: string) => ChainableCommander,
    { schema, take }: { schema: z.ZodType<T>; take: (value: T) => unknown },
  ): Promise<void> {
    for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
      const pipeline = redis.pipeline()
      for (const id of ids.slice(at, at + READ_AT_ONCE)) read(pipeline, id)
      for (const [error, reply] of (await pipeline.exec()) ?? []) {
        const found = schema.safeParse(reply, ZOD_ERRORS)
        if (!error && found.success) take(found.data)
      }
    }
  }

  async function subscribers(tenant: string): ReturnType<AuditSource['subscribers']> {
    const [endpoints, counts] = await run(
      redis.multi().hgetall(keys.endpoints(tenant)).hgetall(keys.subscribed(tenant)),
    )
    const found = { endpoints: texts.parse(endpoints), counts: texts.parse(counts) }
    const sorted = [found.endpoints, found.counts].map((hash) => Object.entries(hash).toSorted(byName))
    return { ...found, seen: JSON.stringify(sorted) }
  }

  const members = (kind: 'zset' | 'set', key: string): AsyncIterable<string[]> =>
    kind === 'set' ? redis.sscanStream(key, { count: 500 }) : evens(redis.zscanStream(key, { count: 500 }))

  return {
    now: () => redisNow(redis),
    load,
    loadBatch,

    async upload(id: string, job: string | null): Promise<FoundUpload | null> {
      const [fields, used, due] = await run(
        redis
          .multi()
          .hgetall(keys.upload(id))
          .sismember(keys.uploadJobs(id), job ?? '')
          .zscore(keys.uploads, id),
      )
      const record = decodeUpload(z.record(z.string(), z.string()).parse(fields))
      const isCounted = z.object({ counted: z.string().optional() }).parse(fields).counted === '1'
      return record && { ...record, isUsed: used === 1, isDue: score.parse(due) !== null, isCounted }
    },

    async ledgers(): Promise<string[]> {
      const found = new Set<string>()
      const pages: AsyncIterable<string[]> = redis.scanStream({ match: `${keys.tag}:tenant:*`, count: 1000 })
      for await (const page of pages)
        for (const key of page) {
          const [, tenant = '', part, ...rest] = key.slice(keys.tag.length + 1).split(':')
          if (rest.length === 0 && (part === 'credits' || part === 'ledger')) found.add(tenant)
        }
      return [...found].sort()
    },

    async names(): Promise<KeyNames> {
      const names = noKeyNames()
      const pages: AsyncIterable<string[]> = redis.scanStream({ match: `${keys.tag}:*`, count: 1000 })
      const seen = new Set<string>()
      for await (const page of pages)
        for (const key of page) {
          if (key.startsWith(`${keys.queues}:`) || seen.has(key)) continue
          seen.add(key)
          sortKeyName(names, key, key.slice(keys.tag.length + 1).split(':'))
        }
      return names
    },

    members,

    async order() {
      const [line, lanes, heads, interactive, batch, parked, places] = await run(
        redis
          .multi()
          .zrange(keys.line, '0', '-1')
          .zrange(keys.lanes, '0', '-1')
          .hgetall(keys.laneHeads)
          .zrange(keys.turns('interactive'), '0', '-1')
          .zrange(keys.turns('batch'), '0', '-1')
          .zrange(keys.parked, '0', '-1')
          .hlen(keys.places),
      )
      const names = z.array(z.string())
      return {
        line: names.parse(line),
        lanes: names.parse(lanes),
        heads: texts.parse(heads),
        turns: { interactive: names.parse(interactive), batch: names.parse(batch) },
        parked: names.parse(parked),
        places: z.number().parse(places),
      }
    },

    async holds(kind: 'zset' | 'set', key: string, member: string): Promise<boolean> {
      return kind === 'set' ? (await redis.sismember(key, member)) === 1 : (await redis.zscore(key, member)) !== null
    },

    notices: (tenant) => redis.hkeys(keys.notices(tenant)),

    async notice(tenant, id, member) {
      const [row, at] = await run(redis.multi().hexists(keys.notices(tenant), id).zscore(keys.due, member))
      return [row === 1, at !== null]
    },

    subscribers,

    async waiting(destination) {
      const [waiting, place] = await run(
        redis.multi().zcard(keys.waitingNotifications(destination)).zscore(keys.destinations, destination),
      )
      return [z.number().parse(waiting), score.parse(place) !== null]
    },

    revision: async (id: string): Promise<string> => (await redis.hget(keys.job(id), 'rev')) ?? '',

    text: (key: string): Promise<string | null> => redis.get(key),

    async stored(): Promise<Map<string, StoredCount>> {
      const counts = new Map<string, StoredCount>()
      for (const [name, value] of Object.entries(await redis.hgetall(keys.stored))) {
        const dot = name.lastIndexOf('.')
        const count = counts.get(name.slice(0, dot)) ?? { bytes: 0, files: 0, changes: 0 }
        counts.set(name.slice(0, dot), { ...count, [name.slice(dot + 1)]: Number(value) })
      }
      return counts
    },

    async countedBy({ jobs, uploads, keptFiles }): Promise<Map<string, StoredAmount>> {
      const sums = new Map<string, StoredAmount>()
      const add = (tenant: string, bytes: number, files: number): void => {
        const sum = sums.get(tenant) ?? { bytes: 0, files: 0 }
        sums.set(tenant, { bytes: sum.bytes + bytes, files: sum.files + files })
      }
      await readEach([...jobs], (all, id) => all.hmget(keys.job(id), 'tenant', 'counted_bytes', 'counted_files'), {
        schema: countedJob,
        take: ([tenant, bytes, files]) => files > 0 && add(tenant ?? ABSENT_IN_JOB.tenant, bytes, files),
      })
      await readEach([...uploads], (all, id) => all.hmget(keys.upload(id), 'tenant', 'bytes', 'counted'), {
        schema: countedUpload,
        take: ([tenant, bytes, isCounted]) => isCounted === '1' && tenant !== null && add(tenant, bytes, 1),
      })
      await readEach([...keptFiles], (all, id) => all.get(keys.keptFiles(id)), {
        schema: z.string(),
        take(document) {
          const kept = readKept(document)
          if (kept !== null && kept.files > 0) add(kept.tenant, kept.bytes, kept.files)
        },
      })
      return sums
    },

    async counters(): Promise<Record<string, number>> {
      return z.record(z.string(), z.coerce.number()).parse(await redis.hgetall(keys.phases))
    },

    /** Id of the newest transition. */
    async lastEvent(): Promise<string> {
      const [newest] = await redis.xrevrange(keys.events, '+', '-', 'COUNT', 1)
      return newest?.[0] ?? NO_EVENT
    },

    async eventsSince(id: string): Promise<number> {
      // The stream is capped: when the entry is gone, the number of later entries is unknown.
      const known = id === NO_EVENT || (await redis.xrange(keys.events, id, id)).length > 0
      return known ? (await redis.xrange(keys.events, `(${id}`, '+')).length : Infinity
    },

    dueCount: (): Promise<number> => redis.zcard(keys.due),

    /** BullMQ stores the due time of the scheduler's next job, and that job under a name derived from the time. */
    async sweepScheduled(): Promise<boolean> {
      const scheduler = `${keys.queues}:sweep:repeat`
      for (let reads = 0; reads < MAX_READS; reads++) {
        const next = await redis.zscore(scheduler, 'sweep')
        if (next === null) return false
        if ((await redis.exists(`${scheduler}:sweep:${next}`)) === 1) return true
        // The job may have started just now, which moves the time.
        if ((await redis.zscore(scheduler, 'sweep')) === next) return false
      }
      return true
    },

    /** Returns whether the repair was made; false when the job has changed since it was read. */
    async repair({ fix, guard }: Problem): Promise<boolean> {
      if (guard && 'uncounted' in guard) {
        const key = keys.upload(guard.uncounted)
        await redis.watch(key)
        const [state, isCounted] = await redis.hmget(key, 'state', 'counted')
        if (state !== 'ready' || isCounted === '1') {
          await redis.unwatch()
          return false
        }
      } else if (guard && 'subscribers' in guard) {
        const tenant = guard.subscribers
        await redis.watch(keys.endpoints(tenant), keys.subscribed(tenant))
        if ((await subscribers(tenant)).seen !== guard.seen) {
          await redis.unwatch()
          return false
        }
      } else if (guard) {
        await redis.watch(keys.job(guard.job))
        if (((await redis.hget(keys.job(guard.job), 'rev')) ?? '') !== guard.rev) {
          await redis.unwatch()
          return false
        }
      }
      const transaction = redis.multi()
      for (const [name, ...args] of fix) transaction.call(name, ...args)
      const replies = await transaction.exec()
      for (const [error] of replies ?? []) if (error) throw error
      return replies !== null
    },
  }
}

/** ZSCAN returns member, score, member, ... */
async function* evens(pages: AsyncIterable<string[]>): AsyncIterable<string[]> {
  for await (const page of pages) yield page.filter((_, i) => i % 2 === 0)
}

function firstIssue(error: z.ZodError | SyntaxError): string {
  if (error instanceof SyntaxError) return error.message
  const [issue] = error.issues
  return issue ? `${issue.path.join('.')}: ${issue.message}` : error.message
}
