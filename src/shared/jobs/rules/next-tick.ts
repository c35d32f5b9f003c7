import { runDeadline, startsSince, stopDeadline, untilReady, withinDeadline, withinStart } from './deadlines.ts'
import type { JobRecord, JobState } from './job.ts'
import { waitsForIntent } from './submit.ts'
import { ageBased, type Timings } from './timings.ts'

/** Time until a job that waits for the end of others is put in line although none of them rang for it, ms. */
export const untilRungAgain = (job: JobRecord, now: number, { ringAgain }: Pick<Timings, 'ringAgain'>): number =>
  withinStart(job, now, ageBased(now - startsSince(job), ringAgain))

/** A tick comes a little after the deadline that it is for. */
const AFTER_DEADLINE = 100

/** Time until a deadline may change the job, or until it should be checked, ms. A waiting job is in line. */
export function untilNextTick(state: JobState, now: number, timings: Timings): number {
  const { job } = state
  const after = (deadline: number): number => Math.max(deadline - now, 0) + AFTER_DEADLINE
  if (waitsForIntent(state)) {
    const wait = untilReady(job, now)
    if (wait > 0) return withinDeadline(job, now, wait) + AFTER_DEADLINE
    // Pauses of creation extend `start_within`, so it may be over and the job not.
    const isOver = now >= startsSince(job) + job.start_within * 1000
    return (isOver ? untilRungAgain(job, now, timings) : withinStart(job, now, timings.lineCheck)) + AFTER_DEADLINE
  }
  const checked = ageBased(now - job.created_at, timings.ringAgain)
  switch (job.phase) {
    case 'created':
    case 'running':
      return after(runDeadline(job, timings))
    case 'stopping':
      return after(stopDeadline(job, timings) ?? now + timings.stopBound)
    case 'submitting':
    case 'unknown':
    case 'resubmitting':
      return withinDeadline(job, now, checked) + AFTER_DEADLINE
    default:
      return checked
  }
}
