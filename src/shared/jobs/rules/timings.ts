/** Every duration of the protocols, ms. The defaults are those of docs/design.md; tests use shorter ones. */
export interface Timings {
  /** Lifetime of a permit: from before the intent's commit to the first byte of the POST. */
  permit: number
  /** Timeout of a connection to Replicate; part of the permit. */
  connectTimeout: number
  /** Timeout of a create request, from its start to its last byte. */
  createTimeout: number
  /** Timeout of any other request to Replicate. */
  readTimeout: number
  /** Timeout of an upload of an input file to Replicate, from the connection to the response. */
  uploadTimeout: number
  /** Timeout of the download of an output file, from its request to its last byte. */
  copyTimeout: number
  /** Time after the intent at which an attempt without news becomes unknown: its author is certainly done by then. */
  intentSilence: number
  /** Interval of the sweep. */
  sweepInterval: number
  /** Lease of a claimed due member. */
  dueLease: number
  /** Lock of a doorbell: another worker takes a doorbell of a dead worker after this time, */
  doorbellLock: number
  /** at the next check for stalled doorbells. */
  doorbellCheck: number
  /** Interval of doorbells of a waiting job: half of its age, within these bounds. */
  ringAgain: { min: number; max: number }
  /** Interval of checks of a job that is in line. */
  lineCheck: number
  /** Interval of polls of a prediction: half of its age, within these bounds, with and without webhooks. */
  pollWithWebhooks: { first: number; min: number; max: number }
  pollOnly: { first: number; min: number; max: number }
  /** Longest interval of polls; and time before upstream removes the outputs in which polls are frequent. */
  longestPoll: number
  beforeRemoval: number
  /** Time that the news of a start waits for the completion of its run, which makes it needless. */
  startHold: number
  /** Time after the job's timeout before we cancel the prediction ourselves (Replicate does it by Cancel-After). */
  timeoutGrace: number
  /** Longest duration of a stop; then the job becomes final without confirmation from upstream. */
  stopBound: number
  /** Backoff of a failed cancel or copy: half of the age of the task, within these bounds. */
  retryEffect: { min: number; max: number }
  /** Time after a prediction's creation at which Replicate removes its outputs. */
  outputLifetime: number
  /** Deadline of copies, after the prediction's completion. */
  storeDeadline: number
  /** Pause of creation after the circuit breaker trips; doubled from the first up to the longest. */
  troublePause: { first: number; longest: number }
  /** Time in which creation returns to its full rate after the circuit breaker closed. */
  ramp: number
  /** Time without a 429 after which the learned rate of creates rises; also the time in which it first rises by a tenth. */
  rateQuiet: number
  /** Interval in which it doubles then. */
  rateDoubling: number
  /** Extra time that is listed after a restart of Redis, before its last heartbeat. */
  recoveryWindow: number
  /** Interval of the heartbeat of a worker process. */
  workerBeat: number
  /** Timeout of one heartbeat, after which it is retried. */
  beatTimeout: number
  /** Span of the last writes that Redis may lose in a crash. */
  redisLoss: number
  /** Longest time without any process observing Redis's memory; after that it may be another generation. */
  unattended: number
  /** Tolerated difference of the clocks of upstream and Redis. */
  clockSkew: number
  /** Longest delay between a create and its appearance in upstream's list. */
  listingLag: number
  /** Least distance of two complete listings that prove that a prediction does not exist. */
  listingGap: number
  /** Interval of listings for an unknown outcome: half of its age, within these bounds. */
  listAgain: { min: number; max: number }
  /** Time after the intent at which an unknown outcome becomes undecidable. */
  undecidable: number
  /** Time of 404 responses after which a known prediction counts as lost. */
  lostAfter: number
  /** Time of storage failures after which creation is paused. */
  storageTrouble: number
  /** Retention of the index from prediction to job, after the job is final. */
  keepPredictionIndex: number
  /** Retention of an upload that no job uses. */
  keepUpload: number
  /** Time without a sweep, although Redis responds, after which a worker process exits. */
  sweepSilence: number
  /** Time without a byte after which a request body is aborted. */
  bodyIdle: number
  /** Interval of storage checks; creation is paused while they fail. */
  storageCheck: number
  /** Interval of checks for conditions that hold up the deployment. */
  conditionCheck: number
  /** Longest duration of an accept; Redis refuses it afterwards. */
  acceptWithin: number
  /** Time after its creation at which a batch that is still a draft is removed. */
  draftLife: number
  /** Timeout of one attempt to send a notification, from the connection to the response. */
  notifyTimeout: number
  /** Lease of a notification that is being sent. */
  notifyLease: number
  /** First wait of the schedule of a notification (notifications/rules/retry.ts); the others keep their ratio to it. */
  notifyFirstRetry: number
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

export const DEFAULT_TIMINGS: Timings = {
  permit: 5 * SECOND,
  connectTimeout: 3 * SECOND,
  createTimeout: 30 * SECOND,
  readTimeout: 15 * SECOND,
  uploadTimeout: 2 * MINUTE,
  copyTimeout: 2 * MINUTE,
  intentSilence: 40 * SECOND,
  sweepInterval: 1 * SECOND,
  dueLease: 30 * SECOND,
  doorbellLock: 15 * SECOND,
  doorbellCheck: 10 * SECOND,
  ringAgain: { min: 10 * SECOND, max: 5 * MINUTE },
  lineCheck: 30 * MINUTE,
  pollWithWebhooks: { first: 5 * SECOND, min: 5 * SECOND, max: 60 * SECOND },
  pollOnly: { first: 1 * SECOND, min: 1 * SECOND, max: 15 * SECOND },
  longestPoll: 15 * MINUTE,
  beforeRemoval: 20 * MINUTE,
  startHold: 100,
  timeoutGrace: 30 * SECOND,
  stopBound: 2 * MINUTE,
  retryEffect: { min: 1 * SECOND, max: 30 * SECOND },
  outputLifetime: 1 * HOUR,
  storeDeadline: 55 * MINUTE,
  troublePause: { first: 5 * SECOND, longest: 60 * SECOND },
  ramp: 60 * SECOND,
  rateQuiet: 60 * SECOND,
  rateDoubling: 15 * SECOND,
  recoveryWindow: 5 * MINUTE,
  workerBeat: 1 * SECOND,
  beatTimeout: 5 * SECOND,
  redisLoss: 2 * SECOND,
  unattended: 10 * SECOND,
  clockSkew: 30 * SECOND,
  listingLag: 60 * SECOND,
  listingGap: 60 * SECOND,
  listAgain: { min: 5 * SECOND, max: 60 * SECOND },
  undecidable: 50 * MINUTE,
  lostAfter: 60 * SECOND,
  storageTrouble: 5 * MINUTE,
  keepPredictionIndex: 2 * HOUR,
  keepUpload: 24 * HOUR,
  sweepSilence: 1 * MINUTE,
  bodyIdle: 30 * SECOND,
  storageCheck: 15 * SECOND,
  conditionCheck: 2 * SECOND,
  acceptWithin: 2 * SECOND,
  draftLife: 10 * MINUTE,
  notifyTimeout: 15 * SECOND,
  notifyLease: 60 * SECOND,
  notifyFirstRetry: 5 * SECOND,
}

/**
 * ms after the last heartbeat of a process, until none of its creates of a former generation of Redis's memory can be in
 * flight. Redis may have lost heartbeats together with the intents, and the next heartbeat was not due yet.
 */
export const surelyOver = ({ workerBeat, redisLoss, permit, createTimeout }: Timings): number =>
  workerBeat + redisLoss + permit + createTimeout

/** Whether upstream removes a prediction of this age soon. */
export const expiresSoon = (age: number, { outputLifetime, beforeRemoval }: Timings): boolean =>
  age >= outputLifetime - beforeRemoval

/** A wait of half the age, within bounds. */
export const ageBased = (age: number, bounds: { min: number; max: number }): number =>
  Math.min(bounds.max, Math.max(bounds.min, age / 2))
