import { PRIORITIES } from '../../src/shared/jobs/rules/job.ts'
import * as fc from 'fast-check'
import { EVENT_TYPES } from '../../src/shared/notifications/rules/event-types.ts'
import { OUTPUT_KINDS } from '../../src/shared/artifacts/rules/output-shape.ts'
import type { HistoryLine } from '../../src/shared/jobs/rules/history.ts'
import {
  CAUSES,
  ON_UNKNOWN,
  PHASES,
  STATUSES,
  STORE_POLICIES,
  VIAS,
  WEBHOOK_EVENTS,
  type AttemptRecord,
  type JobRecord,
} from '../../src/shared/jobs/rules/job.ts'

/** Any records, as fast-check makes them. */

export const word = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => text.isWellFormed())
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
export const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
/** As JSON keeps it: no -0. A `__proto__` key is refused where it could come in. */
export const json = fc
  .jsonValue()
  .filter((value) => !JSON.stringify(value).includes('__proto__'))
  .map((value) => JSON.parse(JSON.stringify(value)) as JobRecord['output'])
const object = fc
  .dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    json,
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as JobRecord['metadata'])

/** The record as it is read without a history. */
export const withoutHistory = (job: JobRecord): JobRecord => ({
  ...job,
  updated_at: job.completed_at ?? job.started_at ?? job.created_at,
})

export const jobs: fc.Arbitrary<JobRecord> = fc
  .record({
    v: fc.constant(1 as const),
    id: word,
    rev: whole,
    tenant: word,
    account: word,
    phase: fc.constantFrom(...PHASES),
    status: fc.constantFrom(...STATUSES),
    attempt: whole,
    model: orNull(word),
    version: orNull(word),
    deployment: orNull(word),
    preset: orNull(word),
    batch: orNull(word),
    position: orNull(whole),
    in_sequence: fc.boolean(),
    output_shape: orNull(
      fc.oneof(fc.constantFrom(...OUTPUT_KINDS), fc.record({ files: fc.array(word, { maxLength: 5 }) })),
    ),
    output_is_list: orNull(fc.boolean()),
    key_pattern: orNull(word),
    named_as: orNull(fc.record({ batch: word, position: whole })),
    output_artifact: orNull(word),
    prediction_id: orNull(word),
    input: orNull(object),
    input_bytes: orNull(whole),
    metadata: object,
    user: orNull(word),
    budgets: fc.array(fc.tuple(word, word, word, word), { maxLength: 2 }),
    key_id: orNull(word),
    webhook_events: fc.subarray([...WEBHOOK_EVENTS]),
    timeout: whole,
    start_within: whole,
    webhook: orNull(
      fc.record({
        url: word,
        events: fc.subarray([...EVENT_TYPES]),
        shape: fc.constantFrom('genqueue' as const, 'replicate' as const),
        filter: orNull(fc.subarray([...WEBHOOK_EVENTS])),
      }),
    ),
    via: fc.constantFrom(...VIAS),
    cancel_after: orNull(whole),
    start_since: whole,
    start_paused: whole,
    on_unknown: fc.constantFrom(...ON_UNKNOWN),
    resubmissions: whole,
    resubmit_limit: whole,
    store: fc.constantFrom(...STORE_POLICIES),
    in_flight_limit: orNull(whole),
    priority: fc.constantFrom(...PRIORITIES),
    not_before: orNull(whole),
    price: fc.constantFrom(null, { per_run: 1000, per_output: 5, expect: { outputs: { input: 'n', default: 1 } } }),
    charge_canceled: fc.boolean(),
    estimate: whole,
    captured: orNull(whole),
    uncollected: whole,
    charge_estimated: fc.boolean(),
    keep: orNull(fc.tuple(whole, whole, orNull(whole))),
    retry_of: orNull(word),
    output: json,
    resolved_version: orNull(word),
    resolved_model: orNull(word),
    seed: orNull(whole),
    input_sha256: orNull(word),
    artifacts: fc.array(
      fc.record({
        id: word,
        key: word,
        media_type: word,
        bytes: whole,
        sha256: fc.string(),
        width: orNull(whole),
        height: orNull(whole),
        duration: orNull(whole),
        thumbnail: orNull(fc.record({ key: word, bytes: whole })),
      }),
      { maxLength: 3 },
    ),
    progress: orNull(fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0)),
    partial: orNull(word),
    error: orNull(
      fc.record({
        code: fc.string(),
        message: fc.string(),
        retryable: fc.boolean(),
        billed: fc.constantFrom('no' as const, 'yes' as const, 'unknown' as const),
      }),
    ),
    metrics: object,
    stop: orNull(fc.record({ reason: fc.constantFrom('canceled' as const, 'timeout' as const), requested_at: whole })),
    idempotency: orNull(word),
    created_at: whole,
    submitted_at: orNull(whole),
    prediction_created_at: orNull(whole),
    started_at: orNull(whole),
    completed_at: orNull(whole),
  })
  .map((job) => withoutHistory({ ...job, updated_at: 0 }))

export const attempts: fc.Arbitrary<Omit<AttemptRecord, 'n'>> = fc.record({
  v: fc.constant(1 as const),
  account: word,
  state: fc.constantFrom('intended' as const, 'unknown' as const, 'open' as const, 'closed' as const),
  claim: word,
  intended_at: whole,
  prediction_id: orNull(word),
  outcome: orNull(word),
  finished_by: orNull(fc.constantFrom(...CAUSES)),
  webhook_id: orNull(word),
  orphans: fc.array(word, { maxLength: 3 }),
  absent_since: orNull(whole),
  missing_since: orNull(whole),
  closed_at: orNull(whole),
})

export const lines: fc.Arbitrary<HistoryLine> = fc.record(
  {
    phase: fc.constantFrom(...PHASES),
    status: fc.constantFrom(...STATUSES),
    cause: fc.constantFrom(...CAUSES),
    attempt: whole,
    prediction: orNull(word),
    attempt_state: fc.constantFrom('intended' as const, 'unknown' as const, 'open' as const, 'closed' as const),
    note: word,
    error: word,
  },
  { requiredKeys: ['phase', 'status', 'cause', 'attempt', 'prediction'] },
)
