import type { AttemptRecord, JobRecord } from '../rules/job.ts'

/**
 * Place of each field of a record in Redis (record-codec.ts), and its value when it is absent: a field is not written while
 * it has that value. The values of absent fields are part of the stored format and never change.
 *
 * - `hash`: fields that commits change, at most 64 bytes each; all times, because a commit can set them by Redis's clock
 *   only there
 * - `order`: fields that are frozen at acceptance, or long; one JSON document
 * - `result`: fields that are set at completion, or long; one JSON document, absent before
 * - `partial`: a separate string, not written by commits
 * - `key`: part of the Redis key
 */

export const DOCUMENTS = ['order', 'result'] as const
export type JobDocument = (typeof DOCUMENTS)[number]
export type Place = 'hash' | JobDocument | 'partial' | 'key'

interface Field<T> {
  in: Place
  absent?: T
}

export const JOB_FIELDS: { [F in keyof JobRecord]: Field<JobRecord[F]> } = {
  v: { in: 'hash' },
  id: { in: 'key' },
  rev: { in: 'hash' },
  tenant: { in: 'hash', absent: 'default' },
  account: { in: 'hash', absent: 'default' },
  phase: { in: 'hash' },
  status: { in: 'hash' },
  attempt: { in: 'hash', absent: 0 },
  model: { in: 'order', absent: null },
  version: { in: 'order', absent: null },
  deployment: { in: 'order', absent: null },
  preset: { in: 'order', absent: null },
  batch: { in: 'order', absent: null },
  position: { in: 'order', absent: null },
  in_sequence: { in: 'order', absent: false },
  prediction_id: { in: 'hash', absent: null },
  input: { in: 'order', absent: null },
  metadata: { in: 'order', absent: {} },
  webhook_events: { in: 'order', absent: ['start', 'completed'] },
  timeout: { in: 'order', absent: 600 },
  start_within: { in: 'order', absent: 86_400 },
  start_since: { in: 'hash' },
  start_paused: { in: 'hash' },
  on_unknown: { in: 'order', absent: 'fail' },
  resubmissions: { in: 'hash', absent: 0 },
  resubmit_limit: { in: 'order', absent: 2 },
  store: { in: 'order', absent: 'copy' },
  output_shape: { in: 'order', absent: null },
  key_pattern: { in: 'order', absent: null },
  named_as: { in: 'order', absent: null },
  in_flight_limit: { in: 'order', absent: null },
  price: { in: 'order', absent: null },
  charge_canceled: { in: 'order', absent: false },
  estimate: { in: 'order', absent: 0 },
  captured: { in: 'hash', absent: null },
  uncollected: { in: 'hash', absent: 0 },
  charge_estimated: { in: 'hash', absent: false },
  keep: { in: 'order', absent: null },
  retry_of: { in: 'order', absent: null },
  resolved_version: { in: 'result', absent: null },
  seed: { in: 'result', absent: null },
  input_sha256: { in: 'result', absent: null },
  output: { in: 'result', absent: null },
  output_artifact: { in: 'result', absent: null },
  artifacts: { in: 'result', absent: [] },
  progress: { in: 'hash', absent: null },
  partial: { in: 'partial', absent: null },
  error: { in: 'result', absent: null },
  metrics: { in: 'result', absent: {} },
  stop: { in: 'hash', absent: null },
  idempotency: { in: 'order', absent: null },
  created_at: { in: 'hash' },
  submitted_at: { in: 'hash', absent: null },
  prediction_created_at: { in: 'hash', absent: null },
  started_at: { in: 'hash', absent: null },
  completed_at: { in: 'hash', absent: null },
}

/** Fields of attempts, in the hash of their job as `<n>.<field>`. */
export const ATTEMPT_FIELDS: { [F in keyof AttemptRecord]: Field<AttemptRecord[F]> } = {
  v: { in: 'hash', absent: 1 },
  n: { in: 'key' },
  account: { in: 'hash', absent: 'default' },
  state: { in: 'hash' },
  claim: { in: 'hash' },
  intended_at: { in: 'hash' },
  prediction_id: { in: 'hash', absent: null },
  outcome: { in: 'hash', absent: null },
  finished_by: { in: 'hash', absent: null },
  webhook_id: { in: 'hash', absent: null },
  orphans: { in: 'hash', absent: [] },
  absent_since: { in: 'hash', absent: null },
  missing_since: { in: 'hash', absent: null },
  closed_at: { in: 'hash', absent: null },
}

type Fields = Readonly<Record<string, Field<unknown>>>
const fieldOf = (fields: Fields, name: string): Field<unknown> | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

const PLACES = new Map<string, Place>(Object.entries(JOB_FIELDS).map(([name, field]) => [name, field.in]))
export const placeOf = (field: string): Place | undefined => PLACES.get(field)

/** Whether the value equals that of an absent field. */
function isAbsent(value: unknown, absent: unknown): boolean {
  if (value === absent) return absent !== undefined
  return typeof absent === 'object' && absent !== null && JSON.stringify(value) === JSON.stringify(absent)
}

/** The fields of a new record, or of one of its documents, that have to be written. */
export const present = (fields: Fields, record: object): [name: string, value: unknown][] =>
  Object.entries(record).filter(([name, value]) => {
    const field = fieldOf(fields, name)
    return field !== undefined && !isAbsent(value, field.absent)
  })

const fieldsIn = (document: JobDocument): Fields =>
  Object.fromEntries(Object.entries(JOB_FIELDS).filter(([, field]) => field.in === document))

/** The fields of each document. */
export const DOCUMENT_FIELDS: Readonly<Record<JobDocument, Fields>> = {
  order: fieldsIn('order'),
  result: fieldsIn('result'),
}

const absences = (fields: Fields): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, { absent }]) => (absent === undefined ? [] : [[name, absent]])),
  )

/** Values of fields that are absent in the stored record. */
export const ABSENT_IN_JOB = absences(JOB_FIELDS)
export const ABSENT_IN_ATTEMPT = absences(ATTEMPT_FIELDS)
