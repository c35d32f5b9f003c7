/**
 * What a failed prediction's error says about trying again. Replicate tells platform errors with HTTP 200 in
 * `prediction.error`; the codes stand somewhere in the text. Order matters: the first row that matches decides.
 */
export interface FailureClass {
  /** Stable code of the job's error. */
  code: string
  /** The same request may well succeed: made anew inside the job, up to the limit. */
  resubmit: boolean
  /** The same input will fail again. */
  hopeless?: true
  pattern: RegExp
  /** Where the fact comes from. */
  source: string
}

const OFFICIAL = "Replicate's list of error codes"
const SEEN = 'seen in production by others'

export const FAILURE_CLASSES: readonly FailureClass[] = [
  {
    code: 'content_flagged',
    resubmit: false,
    hopeless: true,
    pattern: /\bE005\b|flagged as sensitive|NSFW content/i,
    source: SEEN,
  },
  { code: 'out_of_memory', resubmit: false, hopeless: true, pattern: /\bE1001\b|out of memory/i, source: OFFICIAL },
  { code: 'file_upload_failed', resubmit: false, pattern: /\bE9825\b/, source: OFFICIAL },
  { code: 'platform_interrupted', resubmit: true, pattern: /\(code: PA\)|prediction interrupted/i, source: SEEN },
  { code: 'platform_error', resubmit: true, pattern: /\bE9828\b/, source: SEEN },
  { code: 'platform_start_timeout', resubmit: true, pattern: /\bE6716\b/, source: OFFICIAL },
  { code: 'platform_busy', resubmit: true, pattern: /\bE00[34]\b|temporarily unavailable/i, source: SEEN },
  { code: 'platform_error', resubmit: true, pattern: /\bE1000\b/, source: OFFICIAL },
  { code: 'platform_unhealthy', resubmit: true, pattern: /\bE8765\b/, source: OFFICIAL },
]

/** Everything else is the model's own word. */
const OWN_FAULT = { code: 'prediction_failed', resubmit: false } as const

export function classifyFailure(error: string | null): { code: string; resubmit: boolean; hopeless?: true } {
  return FAILURE_CLASSES.find(({ pattern }) => pattern.test(error ?? '')) ?? OWN_FAULT
}
