import { isFinal } from '../client/client.ts'
import type { Billed, Job, JobPhase, WaitingFor } from '../client/types.ts'
import { credits } from './money.ts'

/** The shapes of `StatusIcon`. */
export type Shape =
  | 'waiting'
  | 'sending'
  | 'question'
  | 'starting'
  | 'running'
  | 'saving'
  | 'stopping'
  | 'done'
  | 'failed'
  | 'canceled'

interface PhaseWords {
  word: string
  shape: Shape
  headline: string
  detail: string
  /** What stands in the empty frame. */
  waiting: string
}

const PHASES: Record<JobPhase, PhaseWords> = {
  queued: {
    word: 'Queued',
    shape: 'waiting',
    headline: 'Waiting in the queue',
    waiting: 'Waiting in the queue',
    detail: 'It is written down and will be sent to Replicate as soon as a worker is free.',
  },
  submitting: {
    word: 'Sending',
    shape: 'sending',
    headline: 'Being sent to Replicate',
    waiting: 'Being sent to Replicate',
    detail: 'The request is on its way. It is sent once.',
  },
  unknown: {
    word: 'Unconfirmed',
    shape: 'question',
    headline: 'It is not known whether Replicate received this job',
    waiting: 'Not confirmed by Replicate. It is never sent twice',
    detail:
      'It is never sent twice. The service reads Replicate’s own list until it finds the prediction, or knows that there is none. That takes minutes, at most about an hour.',
  },
  created: {
    word: 'Starting',
    shape: 'starting',
    headline: 'Starting up',
    waiting: 'Starting up',
    detail: 'Replicate has accepted it and is getting a machine ready. A model that was asleep can take minutes.',
  },
  running: {
    word: 'Running',
    shape: 'running',
    headline: 'Running',
    waiting: 'Running',
    detail: 'The model is at work.',
  },
  resubmitting: {
    word: 'Retrying',
    shape: 'starting',
    headline: 'Being run once more',
    waiting: 'Being run once more',
    detail:
      'The prediction failed for a reason of Replicate’s platform, which is not billed. The same request is made again.',
  },
  stopping: {
    word: 'Stopping',
    shape: 'stopping',
    headline: 'Stopping',
    waiting: 'Stopping',
    detail: 'Replicate has been asked to stop. If the result is faster than the stop, it is kept.',
  },
  storing: {
    word: 'Saving',
    shape: 'saving',
    headline: 'Saving the files',
    waiting: 'Saving the files',
    detail: 'The model is done. Its files are being copied here before Replicate removes them.',
  },
  succeeded: { word: 'Succeeded', shape: 'done', headline: 'Succeeded', waiting: '', detail: '' },
  failed: { word: 'Failed', shape: 'failed', headline: 'Failed', waiting: '', detail: '' },
  canceled: { word: 'Canceled', shape: 'canceled', headline: 'Canceled', waiting: '', detail: '' },
}

const BY_STATUS = { queued: 'queued', starting: 'created', processing: 'running' } as const

/** A phase that this page does not know yet is told by the job's public status. */
export function wordsFor(job: Pick<Job, 'phase' | 'status'>): PhaseWords {
  const known = (PHASES as Partial<Record<string, PhaseWords>>)[job.phase]
  if (known) return known
  const status = job.status
  return PHASES[status === 'queued' || status === 'starting' || status === 'processing' ? BY_STATUS[status] : status]
}

const WAITS: Record<WaitingFor['reason'], string> = {
  budget: 'This account’s creates per minute are used up for the moment.',
  rate_limited: 'Replicate asked for a pause.',
  upstream: 'Replicate is failing or cannot be reached. It resumes when Replicate works again.',
  account: 'Replicate refuses the account: check the token and the credit.',
  storage: 'Outputs cannot be stored right now, so none are made.',
  outcome: 'The answer to the request did not arrive.',
  preset_limit: 'This preset is at its concurrency limit.',
  sequence: 'The runs before it in its batch come first.',
  max_spend: 'What its batch may spend is set aside for other runs.',
  files: 'Its input files are being handed to Replicate.',
  copy: 'Its files are being copied here.',
  stop: 'Replicate has not confirmed the stop yet.',
  recovery: 'Redis was restarted and is being compared with Replicate first.',
  redis: 'Redis cannot be used right now.',
  worker: 'No worker is running.',
}

/** What the phase itself says already. */
const SAID_BY_PHASE = new Set<WaitingFor['reason']>(['outcome', 'stop'])

/** In the service's own words. */
export function whyItWaits(job: Job): string | null {
  if (!job.waiting_for || SAID_BY_PHASE.has(job.waiting_for.reason)) return null
  const known: Partial<Record<string, string>> = WAITS
  return job.waiting_for.detail || known[job.waiting_for.reason] || null
}

/** What a tile says while it waits: only what is out of the ordinary. */
export function shortWait(job: Job): string | null {
  if (job.phase === 'unknown') return wordsFor(job).waiting
  return job.waiting_for && job.waiting_for.reason !== 'budget' ? whyItWaits(job) : null
}

/** The last moment that is known for what it is doing now; null when no time was recorded for it. */
export function sinceWhen(job: Job): { word: string; at: string } {
  if (job.phase !== 'queued' && job.submitted_at && !job.started_at) return { word: 'since', at: job.submitted_at }
  if (job.phase === 'running' && job.started_at) return { word: 'since', at: job.started_at }
  return { word: 'accepted', at: job.created_at }
}

/** What pressing Cancel means now; null when it is not possible. */
export function costOfCanceling(job: Job): string | null {
  if (isFinal(job)) return null
  switch (job.phase) {
    case 'queued':
      return 'Canceling is free: it has not been sent to Replicate.'
    case 'submitting':
    case 'unknown':
    case 'resubmitting':
      return 'Canceling stops it at Replicate if it arrived there; then the time used is billed.'
    case 'created':
    case 'running':
      return 'Canceling stops it. The time used until then is billed by Replicate.'
    case 'storing':
      return 'The model has finished. Canceling gives up its output; Replicate bills the run all the same.'
    case 'stopping':
    case 'succeeded':
    case 'failed':
    case 'canceled':
      return null
    default:
      return 'Canceling stops it. The time used until then may be billed by Replicate.'
  }
}

/** What becomes of the credits when Cancel is pressed now; null when the run costs none. */
export function creditsOfCanceling({ cost, phase }: Job, chargesCanceled: boolean): string | null {
  if (!cost || cost.held === 0) return null
  if (phase === 'queued' || !chargesCanceled) return `The ${credits(cost.held)} credits that are held are given back.`
  return `What it used is charged, of the ${credits(cost.held)} credits that are held.`
}

/** What the run costs the tenant; null when it costs no credits. */
export function costWords({ cost }: Job): string | null {
  if (!cost) return null
  if (cost.captured === null) return `${credits(cost.held)} credits held`
  if (cost.captured === 0 && cost.uncollected === 0) return `No credits taken, ${credits(cost.estimate)} given back`
  return [
    `${credits(cost.captured)} credits`,
    cost.estimated ? 'the hold, because the model did not tell what it used' : null,
    cost.uncollected > 0 ? `${credits(cost.uncollected)} more were not there to be taken` : null,
  ]
    .filter((each) => each !== null)
    .join('; ')
}

export const BILLED: Record<Billed, string> = {
  no: 'Not billed by Replicate.',
  yes: 'Billed by Replicate.',
  unknown: 'It is not known whether Replicate billed it.',
}

interface Advice {
  headline: string
  what: string
  /** The button that comes first. */
  first: 'again' | 'edit'
}

const PLATFORM: Advice = {
  headline: 'Replicate’s platform failed',
  what: 'It was made anew already and failed again, for no fault of the input. Try again later.',
  first: 'again',
}

const ADVICE: Record<string, Advice> = {
  prediction_failed: {
    headline: 'The model failed',
    what: 'If the message speaks of the input, change it; else try again.',
    first: 'again',
  },
  content_flagged: {
    headline: 'The content was flagged',
    what: 'The model refuses this input, or what it made of it. Change the input.',
    first: 'edit',
  },
  out_of_memory: {
    headline: 'The model ran out of memory',
    what: 'Ask for less: a smaller picture, fewer outputs, a shorter text.',
    first: 'edit',
  },
  file_upload_failed: {
    headline: 'A file did not get to Replicate or from it',
    what: 'If the input names a file, see that it can be fetched; else try again.',
    first: 'again',
  },
  platform_interrupted: PLATFORM,
  platform_error: PLATFORM,
  platform_start_timeout: PLATFORM,
  platform_busy: PLATFORM,
  platform_unhealthy: PLATFORM,
  platform_start_failed: PLATFORM,
  platform_stopped: PLATFORM,
  worker_died: {
    headline: 'The model crashed',
    what: 'Try again; if it crashes again, ask for less.',
    first: 'again',
  },
  timeout: {
    headline: 'It took too long',
    what: 'It reached its time limit and was stopped. Try again, or give it less to do.',
    first: 'again',
  },
  start_within_expired: {
    headline: 'It was not started in time',
    what: 'Try again when there is less to do, or allow it to wait longer.',
    first: 'again',
  },
  outcome_unknown: {
    headline: 'It is not known what became of it',
    what: 'Look at the predictions in Replicate’s dashboard before you try again: it may have run, and been paid for.',
    first: 'again',
  },
  output_not_stored: {
    headline: 'The files could not be saved',
    what: 'The model succeeded, but its files are lost. Try again.',
    first: 'again',
  },
  canceled_upstream: {
    headline: 'It was stopped at Replicate',
    what: 'Somebody else stopped it. Try again if that was not meant.',
    first: 'again',
  },
  provider_lost: {
    headline: 'Replicate lost it',
    what: 'Replicate does not know this prediction any more. Try again.',
    first: 'again',
  },
  model_not_found: {
    headline: 'There is no such model',
    what: 'Check the name. A model that is not official needs its version: owner/name:version.',
    first: 'edit',
  },
  model_forbidden: {
    headline: 'The account may not use this model',
    what: 'Ask for access to it at Replicate, or choose another.',
    first: 'edit',
  },
  input_rejected: {
    headline: 'Replicate did not accept the input',
    what: 'Change what the message names and run it anew.',
    first: 'edit',
  },
  canceled: { headline: 'Canceled', what: 'It was canceled on request. You can run it again.', first: 'again' },
}

export function adviceFor(job: Job): Advice {
  const known = job.error ? ADVICE[job.error.code] : undefined
  if (known) return known
  const { headline } = wordsFor(job)
  if (job.error && !job.error.retryable) {
    return { headline, what: 'The same input would fail again. Change it and run it anew.', first: 'edit' }
  }
  return { headline, what: 'This may pass. Try again with the same input.', first: 'again' }
}
