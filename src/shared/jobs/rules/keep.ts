import { formatDuration } from '../../values/duration.ts'
import type { FieldError } from '../../errors/service-error.ts'
import type { FrozenKeep, JobRecord } from './job.ts'

/**
 * Retention of the parts of a job after its completion (docs/storage.md, "How long"), in seconds. Always
 * `payload <= job <= files`.
 */
export interface Keep {
  /** Input and output in the record, and files that no other input names. */
  payload: number
  /** The record. */
  job: number
  /** The files of its output; Infinity: genqueue never removes them. */
  files: number
}

export const CLOCKS = ['payload', 'job', 'files'] as const satisfies readonly (keyof Keep)[]

/** Retention of one level; a missing clock comes from the level above. */
export type OwnKeep = { [Clock in keyof Keep]?: number | undefined }

/** `max`: limit for jobs where the tenant has no value. */
export interface DeploymentKeep {
  usual: Keep
  max: Keep
}

const MINUTE = 60
const DAY = 86_400

/** Bounds of any value, in seconds. Records are in Redis's memory, so they are never kept forever. */
export const KEEP_BOUNDS: Record<keyof Keep, { min: number; max: number; forever: boolean }> = {
  payload: { min: MINUTE, max: 365 * DAY, forever: false },
  job: { min: MINUTE, max: 365 * DAY, forever: false },
  files: { min: MINUTE, max: 3650 * DAY, forever: true },
}

/** Retention of the first release, whose records do not contain it. */
export const FIRST_KEEP: Keep = { payload: DAY, job: 7 * DAY, files: 7 * DAY }

/** Shortest retention of an idempotency key after completion, s; limited by that of the record. */
const ENTRY = DAY

export const freezeKeep = ({ payload, job, files }: Keep): FrozenKeep => [
  payload,
  job,
  files === Infinity ? null : files,
]

/**
 * The retention that applies to a job. For a record of the first release: the longer of what was promised then and the
 * deployment's present value, so that an upgrade removes nothing sooner.
 */
export function keepOf({ keep }: Pick<JobRecord, 'keep'>, { usual }: Pick<DeploymentKeep, 'usual'>): Keep {
  if (keep === null) return eachClock((clock) => Math.max(FIRST_KEEP[clock], usual[clock]))
  const [payload, job, files] = keep
  return { payload, job, files: files ?? Infinity }
}

const eachClock = (of: (clock: keyof Keep) => number): Keep => ({
  payload: of('payload'),
  job: of('job'),
  files: of('files'),
})

/**
 * Applies a level to the level above it. Its own values win; the other clocks are adjusted, so that files last at least as
 * long as the record, and the payload at most as long.
 */
function over(above: Keep, own: OwnKeep): Keep {
  const files = own.files ?? Math.max(above.files, own.job ?? above.job)
  const job = Math.min(own.job ?? above.job, files)
  return { payload: Math.min(own.payload ?? above.payload, job), job, files }
}

const shorter = (a: OwnKeep, b: OwnKeep): OwnKeep =>
  Object.fromEntries(
    CLOCKS.flatMap((clock) => {
      const said = [a[clock], b[clock]].filter((value) => value !== undefined)
      return said.length === 0 ? [] : [[clock, Math.min(...said)]]
    }),
  )

export interface KeepLevels {
  deployment: DeploymentKeep
  tenant: OwnKeep
  preset: OwnKeep
  /** Values of the request. */
  job: OwnKeep
}

/** The retention of a job, and errors for values of the request above the limits; pointers are relative to `keep`. */
export function resolveKeep({ deployment, tenant, preset, job }: KeepLevels): { keep: Keep; wrong: FieldError[] } {
  const inherited = over(deployment.usual, shorter(tenant, preset))
  const keep = over(inherited, job)
  const most = eachClock((clock) => tenant[clock] ?? Math.max(inherited[clock], deployment.max[clock]))
  /** Where the limit of a clock is set. */
  const sourceOf = (clock: keyof Keep): string => {
    if (tenant[clock] !== undefined) return 'set for the tenant'
    return deployment.max[clock] < inherited[clock]
      ? 'set by the preset or the tenant'
      : `KEEP_${clock.toUpperCase()}_MAX`
  }
  const limitOf = (clock: keyof Keep): string => `${formatDuration(most[clock])} (${sourceOf(clock)})`
  const wrong: FieldError[] = []
  const refuse = (clock: keyof Keep, code: string, detail: string): void => {
    if (!wrong.some(({ pointer }) => pointer === `/${clock}`)) wrong.push({ pointer: `/${clock}`, code, detail })
  }
  for (const clock of CLOCKS)
    if ((job[clock] ?? 0) > most[clock]) refuse(clock, 'too_long', `The limit is ${limitOf(clock)}.`)
  if (job.payload !== undefined && job.payload > keep.payload)
    refuse('payload', 'too_long', `The payload is kept no longer than the record: ${formatDuration(keep.job)}.`)
  if (job.job !== undefined && job.job > keep.job)
    refuse('job', 'too_long', `The record is kept no longer than its files: ${formatDuration(keep.files)}.`)
  if (job.files === undefined && job.job !== undefined && keep.files > most.files)
    refuse('job', 'too_long', `The record is kept no longer than its files, which are limited to ${limitOf('files')}.`)
  return { keep, wrong }
}

/** Retention of a retry: that of the retried job, limited by the tenant's present values. */
export function keepAgain(old: JobRecord['keep'], deployment: DeploymentKeep, tenant: OwnKeep): FrozenKeep {
  if (old === null) return freezeKeep(over(deployment.usual, tenant))
  const { payload, job, files } = keepOf({ keep: old }, deployment)
  return freezeKeep(over({ payload, job, files }, shorter({ payload, job, files }, tenant)))
}

/** The first contradiction among the values of one level; null when there is none. */
export function keepProblem(own: OwnKeep): { clock: keyof Keep; detail: string } | null {
  const { payload, job, files } = own
  if (job !== undefined && files !== undefined && files < job)
    return { clock: 'files', detail: `Files are kept as long as the record or longer: ${formatDuration(job)}.` }
  const record = job ?? files
  if (payload !== undefined && record !== undefined && payload > record)
    return { clock: 'payload', detail: `The payload is kept no longer than the record: ${formatDuration(record)}.` }
  return null
}

/** Times at which the parts of a job are removed, ms; files Infinity: never. */
export interface Ends {
  payload: number
  entry: number
  job: number
  files: number
}

/** null before the job is final. */
export function endsOf(
  job: Pick<JobRecord, 'keep' | 'completed_at'>,
  deployment: Pick<DeploymentKeep, 'usual'>,
): Ends | null {
  const { completed_at } = job
  if (completed_at === null) return null
  const keep = keepOf(job, deployment)
  const at = (seconds: number): number => completed_at + seconds * 1000
  return {
    payload: at(keep.payload),
    entry: at(Math.min(keep.job, Math.max(keep.payload, ENTRY))),
    job: at(keep.job),
    files: at(keep.files),
  }
}

/** The first clean-up of a final job, ms after its completion. */
export const firstCleanUp = ({ keep }: Pick<JobRecord, 'keep'>, keepPredictionIndex: number): number =>
  keep === null
    ? keepPredictionIndex
    : Math.min(keepPredictionIndex, ...keep.slice(0, 2).map((seconds) => (seconds ?? 0) * 1000))
