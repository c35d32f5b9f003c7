import { formatDuration } from '../duration.ts'
import type { FieldError } from '../errors.ts'
import type { FrozenKeep, JobRecord } from './job.ts'

/**
 * How long the parts of a job are kept after its end (docs/storage.md, "How long"), in seconds. Always
 * `payload <= job <= files`.
 */
export interface Keep {
  /** Input and output in the record, and the files that only this input names. */
  payload: number
  /** The record. */
  job: number
  /** The files of its output; Infinity: genqueue never removes them. */
  files: number
}

export const CLOCKS = ['payload', 'job', 'files'] as const satisfies readonly (keyof Keep)[]

/** What one level says: a clock that it does not name comes from the level above. */
export type OwnKeep = { [Clock in keyof Keep]?: number | undefined }

/** `max`: how long a job may ask for where its tenant has no value. */
export interface DeploymentKeep {
  usual: Keep
  max: Keep
}

const MINUTE = 60
const DAY = 86_400

/** Bounds of any value, in seconds. Records live in Redis, in memory: they are never kept forever. */
export const KEEP_BOUNDS: Record<keyof Keep, { min: number; max: number; forever: boolean }> = {
  payload: { min: MINUTE, max: 365 * DAY, forever: false },
  job: { min: MINUTE, max: 365 * DAY, forever: false },
  files: { min: MINUTE, max: 3650 * DAY, forever: true },
}

/** Of the first release, whose records do not say how long they are kept. */
export const FIRST_KEEP: Keep = { payload: DAY, job: 7 * DAY, files: 7 * DAY }

/** An idempotency key is known so long after the end of its job, or as long as the payload, but never without the record. */
const ENTRY = DAY

export const freezeKeep = ({ payload, job, files }: Keep): FrozenKeep => [
  payload,
  job,
  files === Infinity ? null : files,
]

/**
 * What counts for a job. A record of the first release keeps what was promised then, or what the deployment says now,
 * whichever is longer: an upgrade removes nothing sooner.
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
 * A level over the one above it. What it names counts; the other clocks give way, so that files last as long as the
 * record, and the payload no longer than it.
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
  /** What the request asks for. */
  job: OwnKeep
}

/** How long a job is kept, and what of its request cannot be granted; pointers begin at its `keep`. */
export function resolveKeep({ deployment, tenant, preset, job }: KeepLevels): { keep: Keep; wrong: FieldError[] } {
  const inherited = over(deployment.usual, shorter(tenant, preset))
  const keep = over(inherited, job)
  const most = eachClock((clock) => tenant[clock] ?? Math.max(inherited[clock], deployment.max[clock]))
  const wrong: FieldError[] = []
  const refuse = (clock: keyof Keep, code: string, detail: string): void => {
    if (!wrong.some(({ pointer }) => pointer === `/${clock}`)) wrong.push({ pointer: `/${clock}`, code, detail })
  }
  for (const clock of CLOCKS)
    if ((job[clock] ?? 0) > most[clock]) refuse(clock, 'too_long', `At most ${formatDuration(most[clock])} here.`)
  if (job.payload !== undefined && job.payload > keep.payload)
    refuse('payload', 'too_long', `The payload is kept no longer than the record: ${formatDuration(keep.job)}.`)
  if (job.job !== undefined && job.job > keep.job)
    refuse('job', 'too_long', `The record is kept no longer than its files: ${formatDuration(keep.files)}.`)
  if (job.files === undefined && job.job !== undefined && keep.files > most.files)
    refuse(
      'job',
      'too_long',
      `Its files last as long as the record, and here that is ${formatDuration(most.files)} at most.`,
    )
  return { keep, wrong }
}

/** Of a job that is made once more: what the first had, within what its tenant has now. */
export function keepAgain(old: JobRecord['keep'], deployment: DeploymentKeep, tenant: OwnKeep): FrozenKeep {
  if (old === null) return freezeKeep(over(deployment.usual, tenant))
  const { payload, job, files } = keepOf({ keep: old }, deployment)
  return freezeKeep(over({ payload, job, files }, shorter({ payload, job, files }, tenant)))
}

/** What is wrong with the values of one level among each other. */
export function keepProblem(own: OwnKeep): { clock: keyof Keep; detail: string } | null {
  const { payload, job, files } = own
  if (job !== undefined && files !== undefined && files < job)
    return { clock: 'files', detail: `Files are kept as long as the record or longer: ${formatDuration(job)}.` }
  const record = job ?? files
  if (payload !== undefined && record !== undefined && payload > record)
    return { clock: 'payload', detail: `The payload is kept no longer than the record: ${formatDuration(record)}.` }
  return null
}

/** Times at which parts of a job go, ms; files Infinity: never. */
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

/** The first clean-up of a job that ends, ms from its end. */
export const firstCleanUp = ({ keep }: Pick<JobRecord, 'keep'>, keepPredictionIndex: number): number =>
  keep === null
    ? keepPredictionIndex
    : Math.min(keepPredictionIndex, ...keep.slice(0, 2).map((seconds) => (seconds ?? 0) * 1000))
