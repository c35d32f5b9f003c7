import type { Batches } from '../shared/batches/batches.ts'
import { attemptOf, effectKey, isFinal, type JobState } from '../shared/jobs/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { DueMember } from '../shared/jobs/due-member.ts'
import type { Doorbells, JobStore } from '../shared/jobs/ports.ts'
import { NewerRecordError } from '../shared/jobs/record-codec.ts'
import { waitsForIntent } from '../shared/jobs/rules-submit.ts'
import { ageBased, expiresSoon, withinStart, type Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'

interface OpenAttempt {
  job: string
  attempt: number
  account: string
  /** When its prediction was created, ms. */
  created: number
}

export interface SweepDependencies {
  store: JobStore
  lifecycle: Lifecycle
  doorbells: Doorbells
  cleanUp: () => Promise<void>
  batches: Pick<Batches, 'tend'>
  timings: Timings
  /** ms of creation that one listing looks through. */
  slice: number
  log: Logger
}

const BATCH = 200
const AT_ONCE = 25
/** From so many open predictions on, listing takes fewer requests than asking for each. */
const WINDOW_FROM = 4
/** A sweep ends after so many batches, so that the next one starts on time. */
const MAX_BATCHES = 20

/**
 * Takes everything that is due: applies what time decides, rings for the rest, and says when to look again. This is why
 * no crash between a commit and its doorbell matters.
 */
export function createSweep({ store, lifecycle, doorbells, cleanUp, batches, timings, slice, log }: SweepDependencies) {
  async function visitJob(member: DueMember & { kind: 'job' }, now: number): Promise<void> {
    const result = await lifecycle.apply(member.job, { type: 'tick' }, 'sweep')
    if (result.kind === 'missing') return store.dropDue(member)
    if (result.kind !== 'ignored') return
    const { job } = result.state
    if (isFinal(job.phase)) return store.dropDue(member)
    if (waitsForIntent(result.state)) await doorbells.submit(job.id)
    await store.rearm(member, untilNextLook(result.state, now))
  }

  /** ms until time itself may change the job, or its doorbell should be rung again. */
  function untilNextLook(state: JobState, now: number): number {
    const { job } = state
    if (waitsForIntent(state)) return withinStart(job, now, ageBased(now - job.start_since, timings.ringAgain)) + 100
    switch (job.phase) {
      case 'created':
      case 'running': {
        const from = job.prediction_created_at ?? job.submitted_at ?? job.created_at
        return Math.max(from + job.timeout * 1000 + timings.timeoutGrace - now, 0) + 100
      }
      case 'stopping':
        return Math.max((job.stop?.requested_at ?? now) + timings.stopBound - now, 0) + 100
      default:
        return ageBased(now - job.created_at, timings.ringAgain)
    }
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
    if (!effect) return store.dropDue(member)
    await doorbells.effect(member.job, effect)
  }

  /** Due again soon: during a rolling update the next sweep may run in a process that can read the record. */
  async function leave(member: DueMember): Promise<void> {
    log.debug({ member: member.member }, 'left to a newer release')
    await store.rearm(member, timings.sweepInterval).catch((error: unknown) => {
      log.debug({ err: error, member: member.member }, 'due again only when its lease is over')
    })
  }

  /** The open attempt that wants a look at upstream, if the member is one. */
  async function visit(member: DueMember, now: number): Promise<OpenAttempt | undefined> {
    try {
      if (member.kind === 'attempt') return await visitAttempt(member, now)
      if (member.kind === 'batch') await batches.tend(member.batch)
      else await (member.kind === 'job' ? visitJob(member, now) : visitEffect(member))
    } catch (error) {
      // The lease brings it back. One bad record must not keep the others from being looked at.
      if (error instanceof NewerRecordError) await leave(member)
      else log.error({ err: error, member: member.member }, 'what was due could not be looked at')
    }
    return undefined
  }

  /**
   * One by one, or by listing when that takes fewer requests; those that upstream removes soon by themselves. Time is
   * sliced in the same way by every sweep: a listing serves all of its slice, so of each slice one waits at most, however
   * far the readers are behind.
   */
  async function askUpstream(open: OpenAttempt[], now: number): Promise<void> {
    const groups = Map.groupBy(open, ({ account, created }) =>
      JSON.stringify([account, expiresSoon(now - created, timings), Math.floor(created / slice)]),
    )
    for (const mine of groups.values()) {
      const [first] = mine
      if (!first) continue
      const soon = expiresSoon(now - first.created, timings)
      const after = Math.floor(first.created / slice) * slice
      const due = mine.map(({ job, attempt }) => ({ job, attempt }))
      if (mine.length >= WINDOW_FROM) await doorbells.window(first.account, { after, before: after + slice }, soon, due)
      else await Promise.all(mine.map(({ job, attempt }) => doorbells.poll(job, attempt, soon)))
    }
  }

  async function takeDue(signal: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch++) {
      const { now, members } = await store.claimDue(BATCH)
      const open: OpenAttempt[] = []
      for (let at = 0; at < members.length; at += AT_ONCE) {
        const found = await Promise.all(members.slice(at, at + AT_ONCE).map((member) => visit(member, now)))
        for (const one of found) if (one) open.push(one)
      }
      await askUpstream(open, now)
      if (members.length < BATCH) return
    }
  }

  return async (signal: AbortSignal): Promise<void> => {
    await takeDue(signal)
    await cleanUp()
  }
}
