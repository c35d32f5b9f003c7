import { z } from 'zod'
import {
  ATTEMPT_STATES,
  CAUSES,
  PHASES,
  STATUSES,
  type AttemptRecord,
  type AttemptState,
  type Cause,
  type Phase,
  type Status,
} from '../rules/job.ts'
import type { HistoryLine } from '../rules/history.ts'

/** The letters are part of the stored format: never change the meaning of one. */
const PHASE_LETTERS: Record<Phase, string> = {
  queued: 'q',
  submitting: 's',
  unknown: 'u',
  created: 'c',
  running: 'r',
  resubmitting: 'a',
  stopping: 'x',
  storing: 'o',
  succeeded: 'S',
  failed: 'F',
  canceled: 'C',
}
const CAUSE_LETTERS: Record<Cause, string> = {
  api: 'a',
  create: 'c',
  webhook: 'h',
  poll: 'p',
  list: 'l',
  cancel: 'x',
  worker: 'w',
  sweep: 's',
}
const STATE_LETTERS: Record<AttemptState, string> = { intended: 'i', unknown: 'u', open: 'o', closed: 'c' }

const inverted = <T extends string>(words: readonly T[], letters: Record<T, string>): ReadonlyMap<string, T> =>
  new Map(words.map((word) => [letters[word], word]))
const PHASE_OF = inverted(PHASES, PHASE_LETTERS)
const CAUSE_OF = inverted(CAUSES, CAUSE_LETTERS)
const STATE_OF = inverted(ATTEMPT_STATES, STATE_LETTERS)

/** The usual status of each phase: only a different one is stored. */
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

/**
 * Encodes a line for Redis: `<phase><cause><attempt>`, `+` when its prediction is known, the letter of the attempt's state
 * when that changed, then JSON `[note, error, status]` without trailing nulls. The commit script prefixes the time (ms).
 */
export function encodeHistory(line: HistoryLine): string {
  const { phase, status, cause, attempt, prediction, attempt_state, note, error } = line
  const head = `${PHASE_LETTERS[phase]}${CAUSE_LETTERS[cause]}${attempt}${prediction === null ? '' : '+'}`
  const state = attempt_state === undefined ? '' : STATE_LETTERS[attempt_state]
  const more = [note ?? null, error ?? null, status === USUAL[phase] ? null : status]
  while (more.at(-1) === null) more.pop()
  return `${head}${state}${more.length === 0 ? '' : ` ${JSON.stringify(more)}`}`
}

const LINE = /^(\d+) (\w)(\w)(\d+)(\+?)(\w?)(?: (.*))?$/s
const moreSchema = z.array(z.string().nullable())
const statusSchema = z.enum(STATUSES)

/** Decodes lines, oldest first; `attempts` provide the ids of predictions. */
export function decodeLines(
  lines: readonly string[],
  attempts: readonly AttemptRecord[],
): { at: number; entry: HistoryLine }[] {
  const predictions = new Map(attempts.map(({ n, prediction_id }) => [n, prediction_id]))
  return lines.flatMap((line) => {
    const [, at, phaseLetter = '', causeLetter = '', n, known, stateLetter = '', rest = '[]'] = LINE.exec(line) ?? []
    const [phase, cause, state] = [PHASE_OF.get(phaseLetter), CAUSE_OF.get(causeLetter), STATE_OF.get(stateLetter)]
    if (phase === undefined || cause === undefined) return []
    const [note, error, status] = moreSchema.parse(JSON.parse(rest))
    const entry: HistoryLine = {
      phase,
      status: statusSchema.parse(status ?? USUAL[phase]),
      cause,
      attempt: Number(n),
      prediction: known === '+' ? (predictions.get(Number(n)) ?? null) : null,
      ...(state === undefined ? {} : { attempt_state: state }),
      ...(typeof note === 'string' ? { note } : {}),
      ...(typeof error === 'string' ? { error } : {}),
    }
    return [{ at: Number(at), entry }]
  })
}
