import { z } from 'zod'
import { CAUSES, PHASES, STATUSES, type AttemptRecord, type Cause, type Phase, type Status } from './job.ts'

/** One line of what happened to a job, as it was when the commit had been made. */
export interface HistoryLine {
  phase: Phase
  status: Status
  cause: Cause
  attempt: number
  /** The attempt's prediction, once it is known. */
  prediction: string | null
  /** When it changed. */
  attempt_state?: string
  note?: string
  /** code */
  error?: string
}

/** What a status nearly always is: only another is written down. */
const USUAL: Record<Phase, Status> = {
  queued: 'queued',
  submitting: 'queued',
  unknown: 'queued',
  created: 'starting',
  running: 'processing',
  resubmitting: 'processing',
  stopping: 'processing',
  storing: 'processing',
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'canceled',
}

/** What is missing, at the end or before something that is there. */
const NONE = 0
const optional = <T extends z.ZodType>(of: T) => z.union([of, z.literal(NONE)]).default(NONE)

/** Phase, cause, attempt, whether its prediction is known, state of the attempt, note, code of the error, status. */
const lineSchema = z.tuple([
  z.enum(PHASES),
  z.enum(CAUSES),
  z.number().default(NONE),
  optional(z.literal(1)),
  optional(z.string()),
  optional(z.string()),
  optional(z.string()),
  optional(z.enum(STATUSES)),
])

/** A line as Redis keeps it, short: a JSON array, with the time that the commit script writes before it. */
export function encodeHistory({ phase, status, cause, attempt, prediction, ...rest }: HistoryLine): string {
  const line: unknown[] = [phase, cause, attempt, prediction === null ? NONE : 1]
  line.push(rest.attempt_state ?? NONE, rest.note ?? NONE, rest.error ?? NONE, status === USUAL[phase] ? NONE : status)
  while (line.at(-1) === NONE) line.pop()
  return JSON.stringify(line)
}

/** Predictions are named by their attempts. */
export function decodeHistory(
  lines: readonly string[],
  attempts: readonly AttemptRecord[],
): { at: number; entry: HistoryLine }[] {
  const predictions = new Map(attempts.map(({ n, prediction_id }) => [n, prediction_id]))
  return lines.map((line) => {
    const space = line.indexOf(' ')
    const [phase, cause, attempt, known, state, note, error, status] = lineSchema.parse(
      JSON.parse(line.slice(space + 1)),
    )
    const entry: HistoryLine = {
      phase,
      status: status === NONE ? USUAL[phase] : status,
      cause,
      attempt,
      prediction: known === NONE ? null : (predictions.get(attempt) ?? null),
      ...(state === NONE ? {} : { attempt_state: state }),
      ...(note === NONE ? {} : { note }),
      ...(error === NONE ? {} : { error }),
    }
    return { at: Number(line.slice(0, space)), entry }
  })
}
