/**
 * Classifies the error of a failed prediction by whether a retry helps. Replicate reports platform errors with HTTP 200 in
 * `prediction.error`, with a code somewhere in the text. The first matching row decides.
 */
export interface FailureClass {
  /** Stable code of the job's error. */
  code: string
  /** The same request may succeed: the job recreates the prediction, up to the limit. */
  resubmit: boolean
  /** The same input will fail again. */
  hopeless?: true
  pattern: RegExp
  /** Source of the fact. */
  source: string
}

const OFFICIAL = "Replicate's list of error codes"
const SEEN = 'seen in production by others'
const COG = 'github.com/replicate/cog'
/** Safety filters of the providers whose models Replicate offers; their texts arrive unchanged in `error`. */
const PROVIDERS = 'error texts of providers, as collected in public test fixtures'

/** Texts for flagged input or output from Replicate and from the providers behind its official models. */
const FLAGGED = [
  /\bE005\b/,
  /flagged (as|by|for)\b/i,
  /\bNSFW\b/i,
  /sensitive content|content (was|is) sensitive/i,
  /(request|content|prompt|output|input) (was |is |has been )?moderated/i,
  /\bmoderator\b/i,
  /(safety|content|usage) (policy|policies|filter|filters|system|checker|review)\b/i,
  /prohibited[ _]content/i,
]

export const FAILURE_CLASSES: readonly FailureClass[] = [
  ...FLAGGED.map((pattern) => ({
    code: 'content_flagged',
    resubmit: false,
    hopeless: true as const,
    pattern,
    source: `${SEEN}; cog pull request 939; ${PROVIDERS}`,
  })),
  // The worker died; running out of memory is Cog's guess.
  { code: 'worker_died', resubmit: false, pattern: /\(exitcode -?\d+\)/, source: `${COG} issue 960` },
  { code: 'out_of_memory', resubmit: false, hopeless: true, pattern: /\bE1001\b|out of memory/i, source: OFFICIAL },
  { code: 'file_upload_failed', resubmit: false, pattern: /\bE9825\b/, source: OFFICIAL },
  { code: 'platform_interrupted', resubmit: true, pattern: /\(code: PA\)|prediction interrupted/i, source: SEEN },
  { code: 'platform_error', resubmit: true, pattern: /\bE9828\b|\bDirector: unexpected error/, source: SEEN },
  { code: 'platform_start_timeout', resubmit: true, pattern: /\bE6716\b/, source: OFFICIAL },
  { code: 'platform_busy', resubmit: true, pattern: /\bE00[34]\b|temporarily unavailable/i, source: SEEN },
  {
    code: 'platform_busy',
    resubmit: true,
    pattern:
      /(experiencing|due to) high demand|(model|server|service) is (currently )?(overloaded|busy)|queue is full/i,
    source: `github.com/pollinations/pollinations issue 12507; ${PROVIDERS}`,
  },
  {
    code: 'platform_error',
    resubmit: true,
    pattern: /\bE1000\b|internal (server )?error[,.;:]? (please )?(try|retry)/i,
    source: `${OFFICIAL}; ${PROVIDERS}`,
  },
  { code: 'platform_unhealthy', resubmit: true, pattern: /\bE8765\b/, source: OFFICIAL },
  // Platform errors too, but the list of codes does not say that a retry helps.
  { code: 'platform_start_failed', resubmit: false, pattern: /\bE9243\b/, source: OFFICIAL },
  { code: 'platform_stopped', resubmit: false, pattern: /\bE8367\b/, source: OFFICIAL },
]

/** Any other text comes from the model itself. */
const OWN_FAULT = { code: 'prediction_failed', resubmit: false } as const

export function classifyFailure(error: string | null): { code: string; resubmit: boolean; hopeless?: true } {
  return FAILURE_CLASSES.find(({ pattern }) => pattern.test(error ?? '')) ?? OWN_FAULT
}

/** Whether a failure concerns the platform, and neither the model nor its input. */
export const isOfPlatform = (error: string | null): boolean => classifyFailure(error).code.startsWith('platform_')
