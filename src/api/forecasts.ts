import type { Forecast } from './description/jobs.ts'
import type { EventHub } from '../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { CreateRates, CreationPause, JobReader, RunTimes, Turns } from '../shared/jobs/ports.ts'
import { isAccountScope, placeOf } from '../shared/jobs/rules/place.ts'
import { forecastError, forecastStart, positionOf, startsIn, type Pace, type Turn } from '../shared/jobs/rules/turn.ts'
import type { Logger } from '../shared/process/logger.ts'
import { briefly } from '../shared/values/briefly.ts'
import type { Waiting } from './waiting.ts'

export interface ForecastDependencies {
  store: Turns & CreateRates & CreationPause & Pick<RunTimes, 'runTimes'> & JobReader
  hub: Pick<EventHub, 'onJob'>
  /** Names of the accounts that a job may use. */
  accountsFor: (job: Pick<JobRecord, 'tenant' | 'preset'>) => readonly string[]
  log: Pick<Logger, 'debug'>
}

const RUN_TIMES_FRESH_MS = 5_000
/** Forecasts that a process compares with what came true, at a time; how often it takes one, and for how long, ms. */
const FOLLOWED = 100
const FOLLOW_EVERY_MS = 1_000
const FOLLOWED_FOR_MS = 3_600_000

/** A job whose start is forecast. */
export interface About {
  /** It exists, so what comes true is known later. */
  isReal: boolean
  /** Jobs that would be submitted before it: of its class, and of these those of its lane. */
  after: number
  ofLane: number
}

const behind = (turn: Turn, after: number, ofLane: number): Turn => ({
  ...turn,
  ahead: turn.ahead + after,
  slots: turn.slots.map((one) => ({ ...one, ahead: one.ahead + ofLane })),
})

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/**
 * Position, expected start and expected duration of jobs that wait for their turn, from live figures. Of some jobs, what came true is
 * compared with what was forecast, so that the ranges of later forecasts are those of real waits.
 */
export function createForecasts({ store, hub, accountsFor, log }: ForecastDependencies) {
  const runTimesOf = briefly(RUN_TIMES_FRESH_MS, (model: string) => store.runTimes(model))
  let followedAt = -Infinity
  const followed = new Map<string, { since: number; leave: () => void }>()

  async function runTimeOf({ model, deployment, version }: JobRecord): Promise<Forecast['run_time']> {
    const runs = await runTimesOf(model ?? deployment ?? version ?? '')
    return runs && { p50: seconds(runs.p50), p90: seconds(runs.p90) }
  }

  /** The rate of creates of all accounts that the job may use; null: nobody knows when creation resumes. */
  async function paceOf(job: JobRecord): Promise<Pace | null> {
    const pace: Pace = { perMinute: 0, free: 0, pausedFor: 0 }
    const paused: Pace[] = []
    const all = await Promise.all(
      accountsFor(job).map((name) => Promise.all([store.pause(name), store.createRate(name)])),
    )
    for (const [pause, { perMinute, free }] of all) {
      if (pause === null) {
        pace.perMinute += perMinute
        pace.free += free
      } else if (pause.until !== null)
        paused.push({ perMinute, free: 0, pausedFor: Math.max(0, pause.until - Date.now()) })
    }
    return pace.perMinute > 0 ? pace : (paused.toSorted((a, b) => a.pausedFor - b.pausedFor)[0] ?? null)
  }

  function follow({ id, priority }: JobRecord, forecast: number): void {
    const since = performance.now()
    for (const [job, one] of followed) {
      if (since - one.since < FOLLOWED_FOR_MS) break
      one.leave()
      followed.delete(job)
    }
    if (followed.size >= FOLLOWED || followed.has(id) || since - followedAt < FOLLOW_EVERY_MS) return
    followedAt = since
    const compare = async (): Promise<void> => {
      const waited = (performance.now() - since) / 1000
      const job = await store.read(id)
      const isOver = job === null || job.submitted_at !== null || isFinal(job.phase)
      if (!isOver || !followed.delete(id)) return
      leave()
      if (job !== null && job.submitted_at !== null)
        await store.rememberError(priority, forecastError(forecast, waited))
    }
    const leave = hub.onJob(id, () => {
      compare().catch((error: unknown) => {
        log.debug({ err: error, job: id }, 'could not compare a forecast with what came true')
      })
    })
    followed.set(id, { since, leave })
  }

  async function startOf(job: JobRecord, turn: Turn, runTime: Forecast['run_time'], isReal: boolean) {
    const [pace, errors] = await Promise.all([paceOf(job), store.forecastErrors(job.priority)])
    const start = pace && forecastStart(turn, pace, runTime)
    if (start === null) return null
    if (isReal) follow(job, start)
    return startsIn(start, errors)
  }

  /** null: it does not wait for its turn. */
  return async (
    job: JobRecord,
    waiting: Waiting,
    { isReal, after, ofLane }: About = { isReal: true, after: 0, ofLane: 0 },
  ): Promise<Forecast | null> => {
    if (waiting?.for === 'start') {
      const wait = Math.max(0, Math.round((waiting.at - Date.now()) / 1000))
      return { position: null, starts_in: { p50: wait, p90: wait }, run_time: await runTimeOf(job) }
    }
    if (waiting?.for !== 'turn') return null
    const runTime = await runTimeOf(job)
    // It joins the line when others have ended.
    if (waiting.crowd !== null) return { position: null, starts_in: null, run_time: runTime }
    const turn = behind(await store.turnOf(placeOf(job)), after, ofLane)
    // Nobody knows when an operator resumes it, a condition ends, or an account has a slot.
    const isOpen =
      waiting.condition !== null ||
      waiting.manual !== null ||
      (waiting.blocked !== null && isAccountScope(waiting.blocked))
    const starts_in = isOpen ? null : await startOf(job, turn, runTime, isReal)
    return { position: positionOf(turn), starts_in, run_time: runTime }
  }
}

export type ForecastOf = ReturnType<typeof createForecasts>
