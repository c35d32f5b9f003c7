import { isReplicateDelivery } from '../../../src/shared/artifacts/rules/delivery.ts'
import type {
  AttemptRecord,
  AttemptState,
  JobRecord,
  JobState,
  Phase,
  Status,
} from '../../../src/shared/jobs/rules/job.ts'
import type { TransitionContext } from '../../../src/shared/jobs/rules/decision.ts'
import { DEFAULT_TIMINGS } from '../../../src/shared/jobs/rules/timings.ts'
import type { Prediction } from '../../../src/shared/replicate/rules/prediction.ts'

export const NOW = 1_800_000_000_000
export const JOB = 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV'
/** The commit that wrote the intent of attempt 1. */
export const CLAIM = 'claim-1'
/** The prediction of attempt 1. */
export const OWN = 'own-prediction'

export const context = (now: number, changes: Partial<TransitionContext> = {}): TransitionContext => ({
  now,
  paused: 0,
  cause: 'webhook',
  timings: DEFAULT_TIMINGS,
  webhooks: true,
  expected: null,
  delivers: isReplicateDelivery,
  ...changes,
})

export const prediction = (status: string, changes: Partial<Prediction> = {}): Prediction => ({
  id: OWN,
  status,
  output: null,
  error: null,
  created_at: NOW,
  started_at: status === 'starting' || status === 'queued2' ? null : NOW + 1000,
  completed_at: ['starting', 'processing', 'queued2'].includes(status) ? null : NOW + 5000,
  ...changes,
})

const STATUS_OF: Record<Phase, Status> = {
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

export const jobRecord = (phase: Phase, changes: Partial<JobRecord> = {}): JobRecord => ({
  v: 1,
  id: JOB,
  rev: 3,
  tenant: 'default',
  account: 'default',
  phase,
  status: STATUS_OF[phase],
  attempt: 0,
  model: 'owner/name',
  version: null,
  deployment: null,
  preset: null,
  batch: null,
  position: null,
  in_sequence: false,
  prediction_id: null,
  input: { prompt: 'a red apple' },
  input_bytes: null,
  metadata: {},
  user: null,
  budgets: [],
  key_id: null,
  webhook_events: ['start', 'completed'],
  timeout: 600,
  start_within: 86_400,
  webhook: null,
  via: 'jobs',
  cancel_after: null,
  start_since: NOW,
  start_paused: 0,
  on_unknown: 'fail',
  resubmissions: 0,
  resubmit_limit: 2,
  store: 'copy',
  output_shape: null,
  output_is_list: null,
  key_pattern: null,
  named_as: null,
  in_flight_limit: null,
  priority: 'interactive',
  not_before: null,
  price: null,
  charge_canceled: false,
  estimate: 0,
  resolved_version: null,
  resolved_model: null,
  seed: null,
  input_sha256: null,
  captured: null,
  uncollected: 0,
  charge_estimated: false,
  keep: null,
  retry_of: null,
  output: null,
  output_artifact: null,
  artifacts: [],
  progress: null,
  partial: null,
  error: null,
  metrics: {},
  stop: null,
  idempotency: null,
  created_at: NOW,
  submitted_at: null,
  prediction_created_at: null,
  started_at: null,
  completed_at: null,
  updated_at: NOW,
  ...changes,
})

export const attemptRecord = (changes: Partial<AttemptRecord> = {}): AttemptRecord => ({
  v: 1,
  n: 1,
  account: 'default',
  state: 'intended',
  claim: CLAIM,
  intended_at: NOW,
  prediction_id: null,
  outcome: null,
  finished_by: null,
  webhook_id: null,
  orphans: [],
  absent_since: null,
  missing_since: null,
  closed_at: null,
  ...changes,
})

const submitted = { attempt: 1, submitted_at: NOW }
const created = { ...submitted, prediction_id: OWN, prediction_created_at: NOW }
const ended = { ...created, completed_at: NOW + 6000 }
const open = attemptRecord({ state: 'open', prediction_id: OWN })
const closed = (outcome: string): AttemptRecord =>
  attemptRecord({ state: 'closed', prediction_id: OWN, outcome, finished_by: 'webhook', closed_at: NOW + 5000 })

/** A job as it typically is in a phase: with the attempt, and the effects, that led there. */
export function stateIn(phase: Phase): JobState {
  switch (phase) {
    case 'queued':
      return { job: jobRecord(phase), attempts: [], effects: [] }
    case 'submitting':
      return { job: jobRecord(phase, submitted), attempts: [attemptRecord()], effects: [] }
    case 'unknown':
      return { job: jobRecord(phase, submitted), attempts: [attemptRecord({ state: 'unknown' })], effects: [] }
    case 'created':
    case 'running':
      return { job: jobRecord(phase, created), attempts: [open], effects: [] }
    case 'resubmitting':
      return { job: jobRecord(phase, { ...created, resubmissions: 1 }), attempts: [closed('failed')], effects: [] }
    case 'stopping':
      return {
        job: jobRecord(phase, { ...created, stop: { reason: 'canceled', requested_at: NOW } }),
        attempts: [open],
        effects: [{ v: 1, kind: 'cancel', attempt: 1, prediction_id: OWN, requested_at: NOW }],
      }
    case 'storing':
      return {
        job: jobRecord(phase, created),
        attempts: [closed('succeeded')],
        effects: [
          {
            v: 1,
            kind: 'store',
            attempt: 1,
            output: ['https://replicate.delivery/out.webp'],
            output_pending: false,
            expires_at: NOW + DEFAULT_TIMINGS.outputLifetime,
            give_up_at: NOW + DEFAULT_TIMINGS.storeDeadline,
          },
        ],
      }
    case 'succeeded':
    case 'failed':
    case 'canceled':
      return { job: jobRecord(phase, ended), attempts: [closed(phase)], effects: [] }
  }
}

/** Progress of the second attempt of a job that is retried; its number is 2, its claim `CLAIM`, its prediction `OWN`. */
export function resubmitting(how: 'intended' | 'unknown' | 'open'): JobState {
  const first = attemptRecord({ state: 'closed', claim: 'claim-0', prediction_id: 'first', outcome: 'failed' })
  const started = how === 'open' ? { prediction_id: OWN, prediction_created_at: NOW } : {}
  return {
    job: jobRecord('resubmitting', { attempt: 2, submitted_at: NOW, resubmissions: 1, ...started }),
    attempts: [first, attemptRecord({ n: 2, state: how, prediction_id: how === 'open' ? OWN : null })],
    effects: [],
  }
}

/** A job that ended while the outcome of its attempt was in this state. */
export const outlived = (how: AttemptState): JobState => ({
  job: jobRecord('canceled', { attempt: 1, completed_at: NOW }),
  attempts: [attemptRecord({ state: how, prediction_id: how === 'open' || how === 'closed' ? OWN : null })],
  effects: [],
})
