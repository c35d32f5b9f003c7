import { randomUUID } from 'node:crypto'
import type { ArtifactStore } from '../shared/artifacts/artifact-store.ts'
import { attemptOf, effectKey, isFinal, type JobState } from '../shared/jobs/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { Doorbells, DueMember, JobStore, PurgeStage } from '../shared/jobs/ports.ts'
import { NewerRecordError } from '../shared/jobs/record-codec.ts'
import { ageBased, withinStart, type Timings } from '../shared/jobs/timings.ts'
import type { Logger } from '../shared/logger.ts'

export interface SweepDependencies {
  store: JobStore
  lifecycle: Lifecycle
  doorbells: Doorbells
  artifacts: ArtifactStore
  timings: Timings
  log: Logger
}

const BATCH = 200
const AT_ONCE = 25
/** A sweep ends after so many batches, so that the next one starts on time. */
const MAX_BATCHES = 20

/**
 * Takes everything that is due: applies what time decides, rings for the rest, and says when to look again. This is why
 * no crash between a commit and its doorbell matters.
 */
export function createSweep({ store, lifecycle, doorbells, artifacts, timings, log }: SweepDependencies) {
  async function visitJob(member: DueMember, now: number): Promise<void> {
    const result = await lifecycle.apply(member.job, { type: 'tick' }, 'sweep')
    if (result.kind === 'missing') return store.dropDue(member)
    if (result.kind !== 'ignored') return
    const { job } = result.state
    if (isFinal(job.phase)) return store.dropDue(member)
    if (job.phase === 'queued') await doorbells.submit(job.id)
    await store.rearm(member, untilNextLook(result.state, now))
  }

  /** ms until time itself may change the job, or its doorbell should be rung again. */
  function untilNextLook({ job }: JobState, now: number): number {
    switch (job.phase) {
      case 'queued':
        return withinStart(job, now, ageBased(now - job.created_at, timings.ringAgain)) + 100
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

  async function visitAttempt(member: DueMember & { kind: 'attempt' }, now: number): Promise<void> {
    const { state } = await store.load(member.job)
    const record = state && attemptOf(state, member.attempt)
    if (!record || record.state === 'closed') return store.dropDue(member)
    if (record.state === 'open') return doorbells.poll(member.job, member.attempt)
    const result = await lifecycle.apply(member.job, { type: 'tick', attempt: member.attempt }, 'sweep')
    if (result.kind === 'ignored') await store.rearm(member, ageBased(now - record.intended_at, timings.ringAgain))
  }

  async function visitEffect(member: DueMember & { kind: 'effect' }): Promise<void> {
    const { state } = await store.load(member.job)
    const effect = state?.effects.find((one) => effectKey(one) === member.effect)
    if (!effect) return store.dropDue(member)
    await doorbells.effect(member.job, effect)
  }

  async function visit(member: DueMember, now: number): Promise<void> {
    try {
      if (member.kind === 'job') await visitJob(member, now)
      else if (member.kind === 'attempt') await visitAttempt(member, now)
      else await visitEffect(member)
    } catch (error) {
      // The lease brings it back. One bad record must not keep the others from being looked at.
      if (error instanceof NewerRecordError) log.debug({ member: member.member }, 'left to a newer release')
      else log.error({ err: error, member: member.member }, 'what was due could not be looked at')
    }
  }

  async function takeDue(signal: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch++) {
      const { now, members } = await store.claimDue(BATCH)
      for (let at = 0; at < members.length; at += AT_ONCE)
        await Promise.all(members.slice(at, at + AT_ONCE).map((member) => visit(member, now)))
      if (members.length < BATCH) return
    }
  }

  async function clean(id: string, now: number): Promise<void> {
    const { state } = await store.load(id)
    if (!state || !isFinal(state.job.phase)) return
    const age = now - (state.job.completed_at ?? state.job.created_at)
    const settled = state.attempts.every((attempt) => attempt.state === 'closed')
    const stage: PurgeStage =
      age >= timings.keepJob && settled ? 'all' : age >= timings.keepPayload ? 'payload' : 'index'
    if (stage === 'all') await artifacts.removeAll(`${state.job.tenant}/${id}`)
    await store.purge(state, stage, randomUUID())
  }

  async function cleanOld(): Promise<void> {
    const { now, ids } = await store.claimRetention(BATCH)
    for (const id of ids)
      await clean(id, now).catch((error: unknown) => {
        if (!(error instanceof NewerRecordError))
          log.error({ err: error, job: id }, 'an old job could not be cleaned up')
      })
  }

  return async (signal: AbortSignal): Promise<void> => {
    await takeDue(signal)
    await cleanOld()
  }
}
