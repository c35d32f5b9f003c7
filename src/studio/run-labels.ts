import { isFinal } from '../client/client.ts'
import type { Billed, Job, JobPhase, WaitingFor } from '../client/types.ts'
import { runningFor } from './format.ts'
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

interface PhaseLabels {
  label: string
  shape: Shape
  headline: string
  detail: string
  /** Text of the empty frame. */
  waiting: string
}

const PHASES: Record<JobPhase, PhaseLabels> = {
  queued: {
    label: 'Queued',
    shape: 'waiting',
    headline: 'Waiting in the queue',
    waiting: 'Waiting in the queue',
    detail: 'It is saved and will be sent to Replicate as soon as a worker is free.',
  },
  submitting: {
    label: 'Sending',
    shape: 'sending',
    headline: 'Sending to Replicate',
    waiting: 'Sending to Replicate',
    detail: 'The request is in flight. It is sent once.',
  },
  unknown: {
    label: 'Unconfirmed',
    shape: 'question',
    headline: 'Unknown whether Replicate received the request',
    waiting: 'Unconfirmed by Replicate; never sent twice',
    detail:
      'The request is never sent twice. The service searches Replicate’s prediction list until it finds the prediction or proves that none exists. This takes minutes, at most about an hour.',
  },
  created: {
    label: 'Starting',
    shape: 'starting',
    headline: 'Starting up',
    waiting: 'Starting up',
    detail: 'Replicate has accepted the request and is preparing a machine. A cold model can take minutes to start.',
  },
  running: {
    label: 'Running',
    shape: 'running',
    headline: 'Running',
    waiting: 'Running',
    detail: 'The model is running.',
  },
  resubmitting: {
    label: 'Retrying',
    shape: 'starting',
    headline: 'Retrying',
    waiting: 'Retrying',
    detail:
      'The prediction failed because of Replicate’s platform, which is not billed. The same request is sent again.',
  },
  stopping: {
    label: 'Stopping',
    shape: 'stopping',
    headline: 'Stopping',
    waiting: 'Stopping',
    detail: 'The cancellation was sent to Replicate. If the run finishes first, its result is kept.',
  },
  storing: {
    label: 'Saving',
    shape: 'saving',
    headline: 'Saving the files',
    waiting: 'Saving the files',
    detail: 'The model has finished. Its files are being copied before Replicate removes them.',
  },
  succeeded: { label: 'Succeeded', shape: 'done', headline: 'Succeeded', waiting: '', detail: '' },
  failed: { label: 'Failed', shape: 'failed', headline: 'Failed', waiting: '', detail: '' },
  canceled: { label: 'Canceled', shape: 'canceled', headline: 'Canceled', waiting: '', detail: '' },
}

const BY_STATUS = { queued: 'queued', starting: 'created', processing: 'running' } as const

/** Labels of a job's phase; for an unknown phase, those of its public status. */
export function phaseLabels(job: Pick<Job, 'phase' | 'status'>): PhaseLabels {
  const known = (PHASES as Partial<Record<string, PhaseLabels>>)[job.phase]
  if (known) return known
  const status = job.status
  return PHASES[status === 'queued' || status === 'starting' || status === 'processing' ? BY_STATUS[status] : status]
}

const WAITS: Record<WaitingFor['reason'], string> = {
  budget: 'This account’s limit of creates per minute is used up for now.',
  rate_limited: 'Replicate is rate limiting this account.',
  upstream: 'Replicate is failing or unreachable. Creation resumes when it recovers.',
  account: 'Replicate refuses the account. Check the token and the credit.',
  webhook: 'Replicate refuses the webhook URL of this service. Check PUBLIC_URL.',
  storage: 'Outputs cannot be stored, so creation is paused.',
  outcome: 'The response to the request was lost.',
  scheduled: 'It starts at the time that was submitted.',
  preset_limit: 'This preset is at its concurrency limit.',
  paused: 'An operator has paused creation.',
  concurrency: 'A limit of jobs in flight is reached.',
  sequence: 'Earlier runs of its batch come first.',
  max_spend: 'The spending limit of its batch is held for other runs.',
  files: 'Its input files are being uploaded to Replicate.',
  copy: 'Its files are being copied.',
  stop: 'Replicate has not confirmed the cancellation yet.',
  recovery: 'Redis is being compared with Replicate before creation resumes.',
  redis: 'Redis is unavailable.',
  worker: 'No worker is running.',
}

/** Reasons that the phase's own labels already give. */
const SAID_BY_PHASE = new Set<WaitingFor['reason']>(['outcome', 'stop'])

/** The service's own explanation, else ours. */
export function whyItWaits(job: Job): string | null {
  if (!job.waiting_for || SAID_BY_PHASE.has(job.waiting_for.reason)) return null
  const known: Partial<Record<string, string>> = WAITS
  return job.waiting_for.detail || known[job.waiting_for.reason] || null
}

/** Reasons whose `until` is the next check, which may find the same cause again. */
const CHECKED: ReadonlySet<string> = new Set<WaitingFor['reason']>(['account', 'webhook', 'upstream', 'storage'])

/** What happens at the `until` of a wait, `left` ms from now. */
export function untilLabel(reason: WaitingFor['reason'], left: number): string {
  const time = runningFor(left)
  if (CHECKED.has(reason)) return left > 0 ? `Next check in ${time}.` : 'Being checked now.'
  if (reason === 'rate_limited') return left > 0 ? `Resumes in about ${time}.` : 'Resumes any moment.'
  return left > 0 ? `For at most ${time} more.` : 'For a moment more.'
}

/** The explanation on a tile: only for unusual waits. */
export function shortWait(job: Job): string | null {
  if (job.phase === 'unknown') return phaseLabels(job).waiting
  return job.waiting_for && job.waiting_for.reason !== 'budget' ? whyItWaits(job) : null
}

/** Start of the current phase, or the latest recorded time before it. */
export function sinceWhen(job: Job): { label: string; at: string } {
  if (job.phase !== 'queued' && job.submitted_at && !job.started_at) return { label: 'since', at: job.submitted_at }
  if (job.phase === 'running' && job.started_at) return { label: 'since', at: job.started_at }
  return { label: 'accepted', at: job.created_at }
}

/** Cost of canceling now; null when canceling is not possible. */
export function costOfCanceling(job: Job): string | null {
  if (isFinal(job)) return null
  switch (job.phase) {
    case 'queued':
      return 'Canceling is free: the request has not been sent to Replicate.'
    case 'submitting':
    case 'unknown':
    case 'resubmitting':
      return 'Canceling stops the run if it has reached Replicate; the time used is then billed.'
    case 'created':
    case 'running':
      return 'Canceling stops the run. Replicate bills the time used until then.'
    case 'storing':
      return 'The model has finished. Canceling discards its output; Replicate bills the run in any case.'
    case 'stopping':
    case 'succeeded':
    case 'failed':
    case 'canceled':
      return null
    default:
      return 'Canceling stops the run. Replicate may bill the time used until then.'
  }
}

/** Effect of canceling now on the credits; null when the run costs none. */
export function creditsOfCanceling({ cost, phase }: Job, chargesCanceled: boolean): string | null {
  if (!cost || cost.held === 0) return null
  if (phase === 'queued' || !chargesCanceled) return `The ${credits(cost.held)} held credits are released.`
  return `The usage so far is charged from the ${credits(cost.held)} held credits.`
}

/** What the run costs the tenant; null when it costs no credits. */
export function costLabel({ cost }: Job): string | null {
  if (!cost) return null
  if (cost.captured === null) return `${credits(cost.held)} credits held`
  if (cost.captured === 0 && cost.uncollected === 0) return `No credits charged, ${credits(cost.estimate)} released`
  return [
    `${credits(cost.captured)} credits`,
    cost.estimated ? 'the held amount, because the model reported no usage' : null,
    cost.uncollected > 0 ? `${credits(cost.uncollected)} more could not be collected` : null,
  ]
    .filter((each) => each !== null)
    .join('; ')
}

export const BILLED: Record<Billed, string> = {
  no: 'Not billed by Replicate.',
  yes: 'Billed by Replicate.',
  unknown: 'Unknown whether Replicate billed it.',
}

interface Advice {
  headline: string
  what: string
  /** The recommended button, shown first. */
  first: 'again' | 'edit'
}

const PLATFORM: Advice = {
  headline: 'Replicate’s platform failed',
  what: 'It was retried automatically and failed again. Your input is not the cause. Try again later.',
  first: 'again',
}

const ADVICE: Record<string, Advice> = {
  prediction_failed: {
    headline: 'The model failed',
    what: 'If the message is about the input, change it. Otherwise try again.',
    first: 'again',
  },
  content_flagged: {
    headline: 'The content was flagged',
    what: 'The model rejected the input or its own output. Change the input.',
    first: 'edit',
  },
  out_of_memory: {
    headline: 'The model ran out of memory',
    what: 'Request less: a smaller picture, fewer outputs or a shorter text.',
    first: 'edit',
  },
  file_upload_failed: {
    headline: 'A file transfer at Replicate failed',
    what: 'If the input contains a link, check that it can be downloaded. Otherwise try again.',
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
    what: 'Try again. If it crashes again, request less.',
    first: 'again',
  },
  timeout: {
    headline: 'The run timed out',
    what: 'It reached its time limit and was stopped. Try again, or request less.',
    first: 'again',
  },
  start_within_expired: {
    headline: 'The run did not start in time',
    what: 'Try again when the queue is shorter, or allow a longer wait.',
    first: 'again',
  },
  outcome_unknown: {
    headline: 'The outcome is unknown',
    what: 'Check the predictions in Replicate’s dashboard before you try again: it may have run and been billed.',
    first: 'again',
  },
  output_not_stored: {
    headline: 'The files could not be saved',
    what: 'The model succeeded, but its files are lost. Try again.',
    first: 'again',
  },
  canceled_upstream: {
    headline: 'The run was canceled at Replicate',
    what: 'It was canceled outside this service. Try again if that was not intended.',
    first: 'again',
  },
  provider_lost: {
    headline: 'Replicate lost the prediction',
    what: 'The prediction no longer exists at Replicate. Try again.',
    first: 'again',
  },
  model_not_found: {
    headline: 'The model does not exist',
    what: 'Check the name. A model that is not official needs a version: owner/name:version.',
    first: 'edit',
  },
  model_forbidden: {
    headline: 'The account has no access to this model',
    what: 'Request access at Replicate, or choose another model.',
    first: 'edit',
  },
  input_rejected: {
    headline: 'Replicate rejected the input',
    what: 'Change the fields that the message names, then run it again.',
    first: 'edit',
  },
  canceled: { headline: 'Canceled', what: 'The run was canceled on request. You can run it again.', first: 'again' },
}

export function adviceFor(job: Job): Advice {
  const known = job.error ? ADVICE[job.error.code] : undefined
  if (known) return known
  const { headline } = phaseLabels(job)
  if (job.error && !job.error.retryable) {
    return { headline, what: 'The same input would fail again. Change it, then run it again.', first: 'edit' }
  }
  return { headline, what: 'The failure may be temporary. Try again with the same input.', first: 'again' }
}
