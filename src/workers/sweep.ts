import type { Batches } from '../shared/batches/batches.ts'
import { mapLimited } from '../shared/values/concurrency.ts'
import { untilNextTick } from '../shared/jobs/rules/next-tick.ts'
import { untilReady } from '../shared/jobs/rules/deadlines.ts'
import { attemptOf, effectKey, isFinal } from '../shared/jobs/rules/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { DueMember } from '../shared/jobs/record/due-member.ts'
import type { NotificationStore } from '../shared/notifications/ports.ts'
import type { Doorbells, DueIndex, JobLine, JobLoader, ModelBreakers } from '../shared/jobs/ports.ts'
import { NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import { waitsForIntent } from '../shared/jobs/rules/submit.ts'
import { ageBased, expiresSoon, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'

interface OpenAttempt {
  job: string
  attempt: number
  account: string
  /** Creation time of its prediction, ms. */
  created: number
}

export interface SweepDependencies {
  store: JobLoader &
    DueIndex &
    Pick<JobLine, 'keepInLine' | 'wakeLanes' | 'holders' | 'freeSlot'> &
    Pick<ModelBreakers, 'halfOpenModels'>
  lifecycle: Lifecycle
  doorbells: Doorbells
  cleanUp: () => Promise<void>
  batches: Pick<Batches, 'tend'>
  notifications: Pick<NotificationStore, 'isDue' | 'expire'>
  timings: Timings
  /** Length of the creation-time window of one listing in an account, ms */
  slice: (account: string) => number
  log: Logger
}

const BATCH = 200
/** Notifications that are removed at once. */
const EXPIRED = 500
const AT_ONCE = 25
/** Between two checks of the jobs that hold up others. */
const FREE_SLOTS_EVERY_MS = 30_000
/** Number of open predictions from which a listing takes fewer requests than individual polls. */
const WINDOW_FROM = 4
/** Limit of batches of one sweep, so that the next one starts on time. */
const MAX_BATCHES = 20

/**
 * Claims everything that is due: applies timeouts, rings doorbells for the rest, and sets the next due times. The sweep
 * covers every crash between a commit and its doorbell.
 */
export function createSweep({
  store,
  lifecycle,
  doorbells,
  cleanUp,
  batches,
  notifications,
  timings,
  slice,
  log,
}: SweepDependencies) {
  async function visitJob(member: DueMember & { kind: 'job' }, now: number): Promise<void> {
    const result = await lifecycle.apply(member.job, { type: 'tick' }, 'sweep')
    if (result.kind === 'missing') return store.dropDue(member)
    if (result.kind !== 'ignored') return
    const { job } = result.state
    if (isFinal(job.phase)) return store.dropDue(member)
    const next = untilNextTick(result.state, now, timings)
    // The doorbell is rung at the end of the sweep.
    if (waitsForIntent(result.state) && untilReady(job, now) === 0) await store.keepInLine(job, next)
    else await store.rearm(member, next)
  }

  async function visitAttempt(member: DueMember & { kind: 'attempt' }, now: number): Promise<OpenAttempt | undefined> {
    const { state } = await store.load(member.job)
    const record = state && attemptOf(state, member.attempt)
    if (!state || !record || record.state === 'closed') {
      await store.dropDue(member)
      return undefined
    }
    if (record.state === 'open') {
      const created = state.job.prediction_created_at ?? record.intended_at
      return { job: member.job, attempt: member.attempt, account: record.account, created }
    }
    const result = await lifecycle.apply(member.job, { type: 'tick', attempt: member.attempt }, 'sweep')
    if (record.state === 'unknown') await doorbells.adopt(record.account)
    else if (result.kind === 'ignored') await store.rearm(member, ageBased(now - record.intended_at, timings.ringAgain))
    return undefined
  }

  async function visitEffect(member: DueMember & { kind: 'effect' }): Promise<void> {
    const { state } = await store.load(member.job)
    const effect = state?.effects.find((one) => effectKey(one) === member.effect)
    if (!state || !effect || effect.kind === 'carry') return store.dropDue(member)
    await (effect.kind === 'store' ? doorbells.store(state.job, effect) : doorbells.effect(member.job, effect))
  }

  /** Makes the member due again soon: during a rolling update the next sweep may run in a process of the newer release. */
  async function leave(member: DueMember): Promise<void> {
    log.debug({ member: member.member }, 'a record of a newer release was left to its workers')
    await store.rearm(member, timings.sweepInterval).catch((error: unknown) => {
      log.debug({ err: error, member: member.member }, 'could not make a member due again before its lease ends')
    })
  }

  /** Handles a due member. Returns the attempt to poll, if the member is an open one. */
  async function visit(member: DueMember, now: number): Promise<OpenAttempt | undefined> {
    try {
      if (member.kind === 'attempt') return await visitAttempt(member, now)
      if (member.kind === 'batch') await batches.tend(member.batch)
      else if (member.kind === 'owed') await doorbells.notice(member.tenant, member.notice)
      else await (member.kind === 'job' ? visitJob(member, now) : visitEffect(member))
    } catch (error) {
      // The member is due again when its lease ends. A bad record must not block the others.
      if (error instanceof NewerRecordError) await leave(member)
      else log.error({ err: error, member: member.member }, 'could not process due work; retrying')
    }
    return undefined
  }

  /**
   * Requests polls, or listings where these take fewer requests; predictions that expire soon are grouped separately. Every
   * sweep slices time in the same way, and a listing serves its whole slice, so that at most one listing of each slice
   * waits in the queue.
   */
  async function pollUpstream(open: OpenAttempt[], now: number): Promise<void> {
    const groups = Map.groupBy(open, ({ account, created }) =>
      JSON.stringify([account, expiresSoon(now - created, timings), Math.floor(created / slice(account))]),
    )
    for (const mine of groups.values()) {
      const [first] = mine
      if (!first) continue
      const soon = expiresSoon(now - first.created, timings)
      const length = slice(first.account)
      const after = Math.floor(first.created / length) * length
      const due = mine.map(({ job, attempt }) => ({ job, attempt }))
      if (mine.length >= WINDOW_FROM)
        await doorbells.window(first.account, { after, before: after + length }, soon, due)
      else await Promise.all(mine.map(({ job, attempt }) => doorbells.poll(job, attempt, soon)))
    }
  }

  let freedAt = -Infinity
  /** A process of an earlier release may end a job without giving its slots back; a job that has ended never needs them again. */
  async function freeSlots(): Promise<void> {
    if (performance.now() - freedAt < FREE_SLOTS_EVERY_MS) return
    freedAt = performance.now()
    await mapLimited(await store.holders(), AT_ONCE, async (holder) => {
      const { state } = await store.load(holder.job)
      if (!state || isFinal(state.job.phase)) await store.freeSlot(holder)
    })
  }

  async function takeDue(signal: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch++) {
      const { now, members } = await store.claimDue(BATCH)
      const found = await mapLimited(members, AT_ONCE, (member) => visit(member, now))
      const open = found.filter((one) => one !== undefined)
      await pollUpstream(open, now)
      if (members.length < BATCH) return
    }
  }

  return async (signal: AbortSignal): Promise<void> => {
    await takeDue(signal)
    await freeSlots()
    await store.halfOpenModels()
    await store.wakeLanes()
    // For those that are in line again, and because a doorbell may have been lost.
    await doorbells.line()
    if (await notifications.isDue()) await doorbells.send()
    await cleanUp()
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch++)
      if ((await notifications.expire(EXPIRED)) < EXPIRED) return
  }
}
