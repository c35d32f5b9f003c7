/** Every duration of the protocols, ms. The defaults are those of docs/design.md; tests compose a service with short ones. */
export interface Timings {
  /** From before the intent's commit to the first byte of the POST. */
  permit: number
  /** For a connection to Replicate; part of the permit. */
  connectTimeout: number
  /** One create request, from its start to its last byte. */
  createTimeout: number
  /** Any other request to Replicate. */
  readTimeout: number
  /** How long after the intent an attempt without news counts as lost: its author has surely ended by then. */
  intentSilence: number
  /** Between two runs of the sweep. */
  sweepInterval: number
  /** For how long a claimed due member rests before the sweep takes it again. */
  dueLease: number
  /** A waiting job's doorbell is rung again after its age, within these bounds. */
  ringAgain: { min: number; max: number }
  /** Next look at a prediction: a share of its age, within bounds; the bounds differ with and without webhooks. */
  pollWithWebhooks: { first: number; min: number; max: number }
  pollOnly: { first: number; min: number; max: number }
  /** After the job's timeout before we stop the prediction ourselves (Replicate does it by Cancel-After). */
  timeoutGrace: number
  /** How long a stop may take before the job ends without upstream's word. */
  stopBound: number
  /** Between tries of a failed cancel or copy: the age of the task, within bounds. */
  retryEffect: { min: number; max: number }
  /** Replicate's removal of outputs, from the prediction's creation. */
  outputLifetime: number
  /** Last moment to have copied the outputs, from the prediction's end. */
  storeDeadline: number
  /** Pause of creation after Replicate could not be reached, or refused the account. */
  unreachablePause: number
  accountPause: number
  /** Retention of final jobs. */
  keepPredictionIndex: number
  keepPayload: number
  keepJob: number
  /** How long an accept may take before it promises never to happen. */
  acceptWithin: number
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

export const DEFAULT_TIMINGS: Timings = {
  permit: 5 * SECOND,
  connectTimeout: 3 * SECOND,
  createTimeout: 30 * SECOND,
  readTimeout: 15 * SECOND,
  intentSilence: 40 * SECOND,
  sweepInterval: 1 * SECOND,
  dueLease: 30 * SECOND,
  ringAgain: { min: 10 * SECOND, max: 5 * MINUTE },
  pollWithWebhooks: { first: 5 * SECOND, min: 5 * SECOND, max: 60 * SECOND },
  pollOnly: { first: 1 * SECOND, min: 1 * SECOND, max: 15 * SECOND },
  timeoutGrace: 30 * SECOND,
  stopBound: 2 * MINUTE,
  retryEffect: { min: 1 * SECOND, max: 30 * SECOND },
  outputLifetime: 1 * HOUR,
  storeDeadline: 55 * MINUTE,
  unreachablePause: 5 * SECOND,
  accountPause: 30 * SECOND,
  keepPredictionIndex: 2 * HOUR,
  keepPayload: 24 * HOUR,
  keepJob: 7 * 24 * HOUR,
  acceptWithin: 2 * SECOND,
}

/** A wait of a queued job, cut where its time to be started ends. */
export const withinStart = (job: { created_at: number; start_within: number }, now: number, wait: number): number =>
  Math.min(wait, Math.max(0, job.created_at + job.start_within * 1000 - now))

/** A wait that grows with age: half of it, kept within bounds. */
export const ageBased = (age: number, bounds: { min: number; max: number }): number =>
  Math.min(bounds.max, Math.max(bounds.min, age / 2))
