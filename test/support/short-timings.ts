import type { Timings } from '../../src/shared/jobs/rules/timings.ts'

/** The protocols of docs/design.md with durations that a test can wait for; their order among each other is kept. */
export const SHORT_TIMINGS: Partial<Timings> = {
  permit: 3000,
  connectTimeout: 1500,
  createTimeout: 2500,
  readTimeout: 2000,
  intentSilence: 6000,
  sweepInterval: 200,
  dueLease: 1000,
  doorbellLock: 2000,
  doorbellCheck: 1000,
  ringAgain: { min: 300, max: 2000 },
  lineCheck: 2000,
  pollWithWebhooks: { first: 300, min: 300, max: 1000 },
  pollOnly: { first: 200, min: 200, max: 1000 },
  timeoutGrace: 500,
  stopBound: 3000,
  retryEffect: { min: 200, max: 1000 },
  troublePause: { first: 300, longest: 1500 },
  ramp: 1000,
  workerBeat: 250,
  redisLoss: 500,
  clockSkew: 100,
  listingLag: 100,
  listingGap: 400,
  listAgain: { min: 200, max: 600 },
  undecidable: 20_000,
  lostAfter: 600,
  storageTrouble: 1000,
  storageCheck: 500,
  conditionCheck: 250,
  notifyTimeout: 3000,
  notifyLease: 6000,
  notifyFirstRetry: 200,
}

/** The same, with creates that a machine that stands still for seconds does not end: for tests that are not about them. */
export const PATIENT_TIMINGS: Partial<Timings> = {
  ...SHORT_TIMINGS,
  permit: 10_000,
  connectTimeout: 4000,
  createTimeout: 8000,
  readTimeout: 5000,
  intentSilence: 20_000,
  doorbellLock: 10_000,
}
