import { z } from 'zod'
import { outputShapeSchema } from '../../artifacts/rules/output-shape.ts'
import { frozenBudgets } from '../../credits/rules/frozen-budget.ts'
import { priceRuleSchema } from '../../credits/rules/price.ts'
import type { JobNotice } from '../../notifications/rules/notice.ts'
import { ownWebhookSchema } from '../../notifications/rules/own-webhook.ts'
import type { Json, JsonObject } from '../../values/json.ts'
import { batchId, jobId } from './ids.ts'

/**
 * Records of jobs and attempts (docs/glossary.md): plain values, stored in Redis and read by the rules. Times are
 * milliseconds of the Redis clock; durations that the API shows are seconds.
 */

export const FINAL_PHASES = ['succeeded', 'failed', 'canceled'] as const
export const PHASES = [
  'queued',
  'submitting',
  'unknown',
  'created',
  'running',
  'resubmitting',
  'stopping',
  'storing',
  ...FINAL_PHASES,
] as const
export type Phase = (typeof PHASES)[number]
export type FinalPhase = (typeof FINAL_PHASES)[number]

export const STATUSES = ['queued', 'starting', 'processing', ...FINAL_PHASES] as const
export type Status = (typeof STATUSES)[number]

export const isFinal = (phase: Phase): phase is FinalPhase => (FINAL_PHASES as readonly Phase[]).includes(phase)

export const jobPhase = z
  .enum(PHASES)
  .meta({ id: 'JobPhase', description: 'The detailed state of the job (docs/design.md).' })
export const jobStatus = z
  .enum(STATUSES)
  .meta({ id: 'JobStatus', description: 'A status never changes to an earlier one. The last three are final.' })

export const WEBHOOK_EVENTS = ['start', 'output', 'logs', 'completed'] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]
export const webhookEvent = z.enum(WEBHOOK_EVENTS).meta({ id: 'WebhookEvent' })

const billed = z.enum(['no', 'yes', 'unknown']).meta({
  id: 'Billed',
  description: 'Whether Replicate charges for the prediction, according to its published rules for public models.',
})
export type Billed = z.output<typeof billed>

export const jobError = z
  .object({
    code: z.string().describe('Stable; docs/errors.md lists all codes.'),
    message: z.string(),
    retryable: z.boolean().describe('Whether the same job may succeed when it is submitted again.'),
    billed,
  })
  .meta({ id: 'JobError' })
export type JobError = z.output<typeof jobError>

/** Why a job is being stopped while a prediction may be running. */
const stop = z.object({ reason: z.enum(['canceled', 'timeout']), requested_at: z.number() })

export const ON_UNKNOWN = ['fail', 'retry'] as const
export type OnUnknown = (typeof ON_UNKNOWN)[number]

/** The classes of waiting jobs: `interactive` ones come first, but every tenth job is one of a `batch`. */
export const PRIORITIES = ['interactive', 'batch'] as const
export const priority = z.enum(PRIORITIES).meta({
  id: 'Priority',
  description:
    'Class in the queue: `interactive` jobs come first, but each tenth job is a `batch` job while both wait.',
})
export type Priority = z.output<typeof priority>

/** The API that accepted a job: `/v1/jobs` and its relatives, or Replicate's own API. */
export const VIAS = ['jobs', 'replicate'] as const

/** Whether output files are copied into our storage before the job succeeds, or left at Replicate. */
export const STORE_POLICIES = ['copy', 'none'] as const

/** Sources of transitions. */
export const CAUSES = ['api', 'create', 'webhook', 'poll', 'list', 'cancel', 'worker', 'sweep'] as const
export type Cause = (typeof CAUSES)[number]

/** Retention in a job's record: seconds after its completion (files null: forever). Rules: keep.ts. */
export type FrozenKeep = readonly [payload: number, job: number, files: number | null]

const artifact = z.object({
  id: z.string(),
  /** Key in the artifact store. */
  key: z.string(),
  media_type: z.string(),
  bytes: z.number(),
  sha256: z.string(),
  // Absent in artifacts stored by releases that did not measure files.
  /** px; null: none, or unknown. */
  width: z.number().nullable().default(null),
  height: z.number().nullable().default(null),
  /** s */
  duration: z.number().nullable().default(null),
  /** Thumbnail of a large image, in the artifact store. */
  thumbnail: z.object({ key: z.string(), bytes: z.number() }).nullable().default(null),
})
/** A copied output file. */
export type ArtifactRecord = z.output<typeof artifact>

export const json = z
  .custom<Json>((value) => value !== undefined)
  .meta({
    id: 'Json',
    type: ['null', 'boolean', 'number', 'string', 'array', 'object'],
    description: 'Any JSON value.',
  })
export const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), json)
const text = z.string()
const textOrNull = z.string().nullable()
const number = z.number()
const numberOrNull = z.number().nullable()
const flag = z.boolean()
const frozenKeep: z.ZodType<FrozenKeep> = z.tuple([z.number(), z.number(), z.number().nullable()])

/** Documents of a record beside its hash. */
export const DOCUMENTS = ['order', 'result'] as const
export type JobDocument = (typeof DOCUMENTS)[number]
/**
 * Where a field is kept (record/record-codec.ts):
 *
 * - `hash`: fields that commits change, at most 64 bytes each; all times, because a commit can set them by Redis's clock
 *   only there
 * - `order`: fields that are frozen at acceptance, or long; one JSON document
 * - `result`: fields that are set at completion, or long; one JSON document, absent before
 * - `partial`: a separate string, not written by commits
 * - `key`: part of the Redis key
 * - `history`: not kept, but derived from the newest line of the history
 */
export type Place = 'hash' | JobDocument | 'partial' | 'key' | 'history'

/**
 * Whether the request of a job sets the field, and another job that is made like this one, such as its retry, takes the
 * value over (`again`) or has its own (`once`).
 */
type Asked = 'again' | 'once'

/** What is known of a field besides its schema. */
interface FieldFacts<Absent, Value> {
  in: Place
  /**
   * The value of a new record, and of a stored one without the field: a field is not written while it has that value. Part
   * of the stored format: never change it.
   */
  absent?: Absent
  asked?: Asked
  /** The API shows it as it is; its schema there, with its description for clients. */
  shown?: z.ZodType<Value>
}

export type Field = FieldFacts<unknown, unknown> & { schema: z.ZodType }

const field = <S extends z.ZodType, const F extends FieldFacts<Readonly<z.output<S>>, z.output<S>>>(
  schema: S,
  facts: F,
): F & { schema: S } => ({
  schema,
  ...facts,
})

/** The account of records that name none: that of REPLICATE_API_TOKEN. */
export const DEFAULT_ACCOUNT = 'default'

/**
 * Every field of a job, once: from this table follow the type, where the field is kept, its default, what is accepted when
 * a record is read, what a retry takes over, and what the API shows as it is.
 */
export const JOB_FIELDS = {
  v: field(z.literal(1), { in: 'hash' }),
  id: field(text, { in: 'key', shown: jobId }),
  /** Incremented by each commit. */
  rev: field(number, {
    in: 'hash',
    shown: z.int().min(1).describe('Increases with each change except progress; the id of the events of the job.'),
  }),
  tenant: field(text, { in: 'hash', absent: 'default', asked: 'once', shown: text }),
  account: field(text, { in: 'hash', absent: DEFAULT_ACCOUNT, asked: 'once' }),
  phase: field(jobPhase, { in: 'hash', shown: jobPhase }),
  status: field(jobStatus, { in: 'hash', shown: jobStatus }),
  /** Number of the newest attempt, 0 before the first. */
  attempt: field(number, {
    in: 'hash',
    absent: 0,
    shown: z.int().min(0).describe('Number of the current request to Replicate; 0 before the first.'),
  }),
  model: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'again',
    shown: textOrNull.describe('`owner/name`; null when only a version was given.'),
  }),
  version: field(textOrNull, { in: 'order', absent: null, asked: 'again', shown: textOrNull }),
  deployment: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'again',
    shown: textOrNull.describe('`owner/name` of the deployment, when the job was submitted to one.'),
  }),
  /** The preset of the request. */
  preset: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'again',
    shown: textOrNull.describe('The preset of the job.'),
  }),
  /** The batch of the job, and its position there, from 0. */
  batch: field(textOrNull, { in: 'order', absent: null, shown: batchId.nullable().describe('The batch of the job.') }),
  position: field(numberOrNull, {
    in: 'order',
    absent: null,
    shown: z.int().min(0).nullable().describe('Position in the batch, from 0.'),
  }),
  /** Whether it begins only after all jobs before it in the batch are final. */
  in_sequence: field(flag, { in: 'order', absent: false }),
  prediction_id: field(textOrNull, {
    in: 'hash',
    absent: null,
    shown: textOrNull.describe("Replicate's id of the prediction; null before it exists."),
  }),
  input: field(jsonObject.nullable(), {
    in: 'order',
    absent: null,
    asked: 'once',
    shown: jsonObject.nullable().describe('null after retention has removed it.'),
  }),
  /** Bytes of the JSON of an input that is kept beside the record (long-input.ts): `input` has shortened texts; else null. */
  input_bytes: field(numberOrNull, { in: 'order', absent: null }),
  metadata: field(jsonObject, { in: 'order', absent: {}, asked: 'again', shown: jsonObject }),
  /** The user of the product for whom the job is made. */
  user: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'again',
    shown: textOrNull.describe('The user of your product, as submitted.'),
  }),
  /** The API key that submitted it; null: the development key. Not folded: what it has spent is kept apart. */
  key_id: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'once',
    shown: textOrNull.describe(
      'The id of the API key that submitted the job; null for the development key, and after retention has removed the payload.',
    ),
  }),
  webhook_events: field(z.array(webhookEvent), {
    in: 'order',
    absent: ['start', 'completed'],
    asked: 'again',
    shown: z.array(webhookEvent),
  }),
  /** The receiver of its notifications, or that of its batch; null: none. */
  webhook: field(ownWebhookSchema.nullable(), { in: 'order', absent: null, asked: 'again' }),
  /** s */
  timeout: field(number, { in: 'order', absent: 600, asked: 'again', shown: z.int().describe('Seconds.') }),
  /** s */
  start_within: field(number, { in: 'order', absent: 86_400, asked: 'again', shown: z.int().describe('Seconds.') }),
  priority: field(priority, { in: 'order', absent: 'interactive', asked: 'again', shown: priority }),
  /** It does not start before, ms; null: at once. */
  not_before: field(numberOrNull, { in: 'order', absent: null, asked: 'once' }),
  via: field(z.enum(VIAS), { in: 'order', absent: 'jobs', asked: 'again' }),
  /** Limit from the acceptance to the completion of the prediction, s; null: none. */
  cancel_after: field(numberOrNull, { in: 'order', absent: null, asked: 'again' }),
  /** When `start_within` began, ms, and the account's pause clock at that time. */
  start_since: field(number, { in: 'hash' }),
  start_paused: field(number, { in: 'hash' }),
  /** Policy when it remains undecidable whether a create arrived. */
  on_unknown: field(z.enum(ON_UNKNOWN), {
    in: 'order',
    absent: 'fail',
    asked: 'again',
    shown: z.enum(ON_UNKNOWN).describe('Reaction if it remains unknown whether a create request arrived.'),
  }),
  /** Number of resubmissions: predictions that failed because of the platform and were recreated. */
  resubmissions: field(number, { in: 'hash', absent: 0 }),
  /** Limit of resubmissions. */
  resubmit_limit: field(number, { in: 'order', absent: 2, asked: 'again' }),
  store: field(z.enum(STORE_POLICIES), {
    in: 'order',
    absent: 'copy',
    asked: 'again',
    shown: z.enum(STORE_POLICIES).describe('Whether output files are copied, or stay only at Replicate, for an hour.'),
  }),
  /** Meaning of the output, from the model's Output schema or the preset; null: the schema was not available yet. */
  output_shape: field(outputShapeSchema.nullable(), { in: 'order', absent: null, asked: 'again' }),
  /**
   * Whether the model's Output schema says array where the preset says `text`, for Replicate's own API; null: as the shape says,
   * or not known.
   */
  output_is_list: field(flag.nullable(), { in: 'order', absent: null, asked: 'again' }),
  /** Key pattern of its files in a bucket, from its preset; null: the deployment's pattern. */
  key_pattern: field(textOrNull, { in: 'order', absent: null, asked: 'again' }),
  /** The batch and position in the names of its files, when they are those of the job that this one retries. */
  named_as: field(z.object({ batch: z.string(), position: z.number() }).nullable(), {
    in: 'order',
    absent: null,
    asked: 'once',
  }),
  /** In jobs of the first release; limits are not frozen any more. */
  in_flight_limit: field(numberOrNull, { in: 'order', absent: null }),
  /** null: free. */
  price: field(priceRuleSchema.nullable(), { in: 'order', absent: null, asked: 'again' }),
  /** Whether a job that is canceled after its start is charged. */
  charge_canceled: field(flag, { in: 'order', absent: false, asked: 'again' }),
  /** Micro-credits: held until the job is final; captured then; owed but not covered by the account. */
  estimate: field(number, { in: 'order', absent: 0 }),
  /** The budgets that count it. Not folded: they are settled then. */
  budgets: field(frozenBudgets, { in: 'order', absent: [] }),
  captured: field(numberOrNull, { in: 'hash', absent: null }),
  uncollected: field(number, { in: 'hash', absent: 0 }),
  /** Whether the hold was captured because the metrics did not determine the price. */
  charge_estimated: field(flag, { in: 'hash', absent: false }),
  /** null: accepted by the first release, which did not record it. */
  keep: field(frozenKeep.nullable(), { in: 'order', absent: null, asked: 'once' }),
  /** The job that this one retries. */
  retry_of: field(textOrNull, {
    in: 'order',
    absent: null,
    asked: 'once',
    shown: jobId.nullable().describe('The job of which this job is a retry.'),
  }),
  /** The version that ran, as reported by upstream at completion: `hidden` for official models. */
  resolved_version: field(textOrNull, { in: 'result', absent: null }),
  /** The model that ran, as reported by upstream at completion, for a job of a bare version; null: its target names it. */
  resolved_model: field(textOrNull, { in: 'result', absent: null }),
  /** Seed from the input, or as reported by the model. */
  seed: field(numberOrNull, { in: 'result', absent: null }),
  /** SHA-256 of the canonical JSON of an input that is kept beside the record, or was removed by retention. */
  input_sha256: field(textOrNull, { in: 'result', absent: null }),
  /** Files are represented by the ids of their artifacts, lost files by null. */
  output: field(json, { in: 'result', absent: null }),
  /** The artifact that holds an output that is too long for the record; `output` is then its id. */
  output_artifact: field(textOrNull, {
    in: 'result',
    absent: null,
    shown: textOrNull.describe(
      'The id of the artifact that contains the complete output, if it is larger than 32 KiB; `output` is then the `url` of this artifact. Null if `output` is the output itself.',
    ),
  }),
  artifacts: field(z.array(artifact), { in: 'result', absent: [] }),
  progress: field(numberOrNull, {
    in: 'hash',
    absent: null,
    shown: z.number().min(0).max(1).nullable().describe("Parsed from the model's logs, or null."),
  }),
  /** The beginning of a text output of a running prediction; lossy, not written by commits. */
  partial: field(textOrNull, { in: 'partial', absent: null }),
  error: field(jobError.nullable(), { in: 'result', absent: null, shown: jobError.nullable() }),
  metrics: field(jsonObject, {
    in: 'result',
    absent: {},
    shown: jsonObject.describe('Measurements of Replicate, such as `predict_time` in seconds.'),
  }),
  stop: field(stop.nullable(), { in: 'hash', absent: null }),
  /** Redis key part of the idempotency entry that names this job. */
  idempotency: field(textOrNull, { in: 'order', absent: null }),
  created_at: field(number, { in: 'hash' }),
  submitted_at: field(numberOrNull, { in: 'hash', absent: null }),
  /** When upstream created the current prediction. */
  prediction_created_at: field(numberOrNull, { in: 'hash', absent: null }),
  started_at: field(numberOrNull, { in: 'hash', absent: null }),
  completed_at: field(numberOrNull, { in: 'hash', absent: null }),
  /** When the phase or an attempt last changed (history.ts). */
  updated_at: field(number, { in: 'history', absent: 0 }),
}

export type RecordOf<Fields extends Readonly<Record<string, Field>>> = {
  [F in keyof Fields]: z.output<Fields[F]['schema']>
}
type JobFields = typeof JOB_FIELDS
/** Names of the fields with these facts. */
type FieldWith<Facts> = { [F in keyof JobFields]: JobFields[F] extends Facts ? F : never }[keyof JobFields]
type ShownField = FieldWith<{ shown: z.ZodType }>
export type AskedField<A extends Asked = Asked> = FieldWith<{ asked: A }>

export type JobRecord = RecordOf<JobFields>

/** Schemas of the fields that the API shows as they are, in the order of JOB_FIELDS. */
export function shownFields(): { [F in ShownField]: JobFields[F]['shown'] }
export function shownFields(): object {
  return Object.fromEntries(
    Object.entries<Field>(JOB_FIELDS).flatMap(([name, { shown }]) => (shown ? [[name, shown]] : [])),
  )
}

/** The names of these fields, when the program runs. */
export function fieldsWith(fact: 'shown'): ShownField[]
export function fieldsWith(fact: 'again'): AskedField<'again'>[]
export function fieldsWith(fact: 'shown' | 'again'): string[] {
  const has = ({ shown, asked }: Field): boolean => (fact === 'shown' ? shown !== undefined : asked === fact)
  return Object.entries<Field>(JOB_FIELDS).flatMap(([name, facts]) => (has(facts) ? [name] : []))
}

type AbsentIn<Fields> = {
  [F in keyof Fields as Fields[F] extends { absent: unknown } ? F : never]: Fields[F] extends { schema: z.ZodType }
    ? z.output<Fields[F]['schema']>
    : never
}
function absentIn<Fields extends Readonly<Record<string, Field>>>(fields: Fields): AbsentIn<Fields>
function absentIn(fields: Readonly<Record<string, Field>>): object {
  const values = Object.entries(fields).filter(([, facts]) => 'absent' in facts)
  // Shared by all records.
  return Object.fromEntries(values.map(([name, { absent }]) => [name, Object.freeze(absent)]))
}
/** Values of the fields that have one when they are absent. */
export const ABSENT_IN_JOB = absentIn(JOB_FIELDS)

/**
 * One POST to Replicate. `intended`: the permit is granted; `unknown`: the outcome is unknown; `open`: a prediction exists
 * and is not final; `closed`: the outcome is settled.
 */
export const ATTEMPT_STATES = ['intended', 'unknown', 'open', 'closed'] as const
export type AttemptState = (typeof ATTEMPT_STATES)[number]

/** Every field of an attempt, once; in the hash of its job as `<n>.<field>`. */
export const ATTEMPT_FIELDS = {
  v: field(z.literal(1), { in: 'hash', absent: 1 }),
  n: field(number, { in: 'key' }),
  account: field(text, { in: 'hash', absent: DEFAULT_ACCOUNT }),
  state: field(z.enum(ATTEMPT_STATES), { in: 'hash' }),
  /** The id of the commit that wrote the intent: only its author may POST. */
  claim: field(text, { in: 'hash' }),
  intended_at: field(number, { in: 'hash' }),
  prediction_id: field(textOrNull, { in: 'hash', absent: null }),
  /** The outcome, or why it is unknown: `not_sent`, `rate_limited`, `succeeded`, `connection_reset`, ... */
  outcome: field(textOrNull, { in: 'hash', absent: null }),
  /** The source that reported completion: webhook, poll, cancel or create. */
  finished_by: field(z.enum(CAUSES).nullable(), { in: 'hash', absent: null }),
  /** The newest webhook that changed the attempt. */
  webhook_id: field(textOrNull, { in: 'hash', absent: null }),
  /** Further predictions with this attempt's token, besides the owned one. */
  orphans: field(z.array(z.string()), { in: 'hash', absent: [] }),
  /** Start of the first complete listing without a prediction of this attempt, ms. */
  absent_since: field(numberOrNull, { in: 'hash', absent: null }),
  /** When upstream first returned 404 for the prediction, ms. */
  missing_since: field(numberOrNull, { in: 'hash', absent: null }),
  closed_at: field(numberOrNull, { in: 'hash', absent: null }),
}
export type AttemptRecord = RecordOf<typeof ATTEMPT_FIELDS>
export const ABSENT_IN_ATTEMPT = absentIn(ATTEMPT_FIELDS)

/** The claim of an attempt whose intent Redis lost, and which was recovered from upstream. */
export const RECOVERED = 'recovered'

/** An attempt before the fields of its intent are set. */
export const newAttempt = (n: number): AttemptRecord => ({
  ...ABSENT_IN_ATTEMPT,
  n,
  account: '',
  state: 'intended',
  claim: '',
  intended_at: 0,
})

/** Whether the logs of the job are kept with it: clients of Replicate's own API expect them in its prediction. */
export const keepsLogs = ({ via }: Pick<JobRecord, 'via'>): boolean => via === 'replicate'

/** External work that a commit requires: the commit that records its result removes the row. */
export type Work =
  | {
      v: 1
      kind: 'store'
      attempt: number
      /** The prediction's output; null when it is too large for the record: the store job then reads it from upstream. */
      output: Json
      output_pending: boolean
      /** When Replicate removes the files, ms. */
      expires_at: number
      /** Deadline, ms: the job fails when the output is not stored by then. */
      give_up_at: number
    }
  /** `account`: where the prediction is; absent: in the account of the attempt. */
  | { v: 1; kind: 'cancel'; attempt: number; prediction_id: string; requested_at: number; account?: string }

/** A notification that is sent with the whole job needs its record, payload and files until it is over. It is never due. */
export interface Carry {
  v: 2
  kind: 'carry'
  notification: string
}

/** A row of the outbox, which a commit writes with the change that requires it. A notice is removed once it is distributed. */
export type Effect = Work | JobNotice | Carry

export function effectKey(effect: Effect): string {
  switch (effect.kind) {
    case 'store':
      return `store:${effect.attempt}`
    case 'cancel':
      return `cancel:${effect.attempt}:${effect.prediction_id}`
    case 'notice':
      return `notice:${effect.id}`
    case 'carry':
      return `carry:${effect.notification}`
  }
}

/** The state from which the rules decide. */
export interface JobState {
  job: JobRecord
  attempts: AttemptRecord[]
  effects: Effect[]
}

export const attemptOf = (state: JobState, n: number): AttemptRecord | undefined =>
  state.attempts.find((attempt) => attempt.n === n)
