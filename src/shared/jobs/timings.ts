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
  /** Handing an input file over to Replicate, from the connection to the answer. */
  uploadTimeout: number
  /** Fetching one output file, from its request to its last byte. */
  copyTimeout: number
  /** How long after the intent an attempt without news counts as lost: its author has surely ended by then. */
  intentSilence: number
  /** Between two runs of the sweep. */
  sweepInterval: number
  /** For how long a claimed due member rests before the sweep takes it again. */
  dueLease: number
  /** A doorbell that a dead worker held is answered by another one when its lock has ended, */
  doorbellLock: number
  /** at the next check. */
  doorbellCheck: number
  /** A waiting job's doorbell is rung again after its age, within these bounds. */
  ringAgain: { min: number; max: number }
  /** Next look at a prediction: a share of its age, within bounds; the bounds differ with and without webhooks. */
  pollWithWebhooks: { first: number; min: number; max: number }
  pollOnly: { first: number; min: number; max: number }
  /** No prediction goes unobserved for longer, nor in the last time before upstream removes its outputs. */
  longestPoll: number
  beforeRemoval: number
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
  /** First pause of creation after upstream trouble or a refusal of the account; doubled up to the longest. */
  troublePause: { first: number; longest: number }
  /** How long creation takes to come back to its full rate after trouble. */
  ramp: number
  /** How far back predictions are listed after Redis was started anew, from its last sign of life. */
  recoveryWindow: number
  /** How often a process of workers says that it lives. */
  workerBeat: number
  /** How much of its last writes a Redis may lose that ends without warning. */
  redisLoss: number
  /** How long Redis's memory may go without a look of any process: after that it may be another one. */
  unattended: number
  /** How far the clocks of upstream and Redis may be apart. */
  clockSkew: number
  /** Upstream's listing may lag behind its creates by this much. */
  listingLag: number
  /** Two complete listings this far apart, neither showing a prediction: it does not exist. */
  listingGap: number
  /** Between two listings for the same unknown outcome: half of its age, within these bounds. */
  listAgain: { min: number; max: number }
  /** After the intent: what is undecided by then stays so. */
  undecidable: number
  /** A 404 for a known prediction that lasts this long is final. */
  lostAfter: number
  /** Storage failing for so long stops creation. */
  storageTrouble: number
  /** How long the index from prediction to job outlives the job. */
  keepPredictionIndex: number
  /** An upload that no job uses. */
  keepUpload: number
  /** Without a sweep for so long, although Redis answers, a worker process ends itself. */
  sweepSilence: number
  /** Without a byte of it, a request body is given up. */
  bodyIdle: number
  /** A check of the place for files is good for so long; while it fails, creation is paused. */
  storageCheck: number
  /** Between two looks for conditions that hold up the deployment. */
  conditionCheck: number
  /** How long an accept may take before it promises never to happen. */
  acceptWithin: number
  /** After it began to be written: a batch that is still a draft was given up. */
  draftLife: number
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
  pollWithWebhooks: { first: 5 * SECOND, min: 5 * SECOND, max: 60 * SECOND },
  pollOnly: { first: 1 * SECOND, min: 1 * SECOND, max: 15 * SECOND },
  longestPoll: 15 * MINUTE,
  beforeRemoval: 20 * MINUTE,
  timeoutGrace: 30 * SECOND,
  stopBound: 2 * MINUTE,
  retryEffect: { min: 1 * SECOND, max: 30 * SECOND },
  outputLifetime: 1 * HOUR,
  storeDeadline: 55 * MINUTE,
  troublePause: { first: 5 * SECOND, longest: 60 * SECOND },
  ramp: 60 * SECOND,
  recoveryWindow: 5 * MINUTE,
  workerBeat: 1 * SECOND,
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
}

/**
 * After a process was last seen, until nothing of it can be under way that it began in a former generation of Redis's memory:
 * signs of life may be lost with what it began, and the next was not due yet.
 */
export const surelyOver = ({ workerBeat, redisLoss, permit, createTimeout }: Timings): number =>
  workerBeat + redisLoss + permit + createTimeout

/** Upstream removes a prediction of this age soon. */
export const expiresSoon = (age: number, { outputLifetime, beforeRemoval }: Timings): boolean =>
  age >= outputLifetime - beforeRemoval

/** A wait of a job in the line, cut where its time to be started ends; pauses may have moved that later. */
export const withinStart = (job: { start_since: number; start_within: number }, now: number, wait: number): number => {
  const left = job.start_since + job.start_within * 1000 - now
  return left > 0 ? Math.min(wait, left) : wait
}

/** A wait that grows with age: half of it, kept within bounds. */
export const ageBased = (age: number, bounds: { min: number; max: number }): number =>
  Math.min(bounds.max, Math.max(bounds.min, age / 2))
