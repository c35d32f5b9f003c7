import type { JobKeep } from './description/common.ts'
import type { Forecast, Job, JobCost, WaitingFor } from './description/jobs.ts'
import type { ArtifactLinks } from '../shared/artifacts/rules/artifact-links.ts'
import { S3_KEY } from '../shared/artifacts/artifact-store.ts'
import type { ConditionName } from '../shared/conditions/rules/condition.ts'
import { namedFiles, THUMBNAIL, type LastingLinks } from '../shared/artifacts/rules/lasting-links.ts'
import { formatDuration } from '../shared/values/duration.ts'
import { fieldsWith, isFinal, type ArtifactRecord, type JobRecord } from '../shared/jobs/rules/job.ts'
import { endsOf, keepOf, type DeploymentKeep, type Keep } from '../shared/jobs/rules/keep.ts'
import type { Pause } from '../shared/jobs/ports.ts'
import { brokenTarget } from '../shared/jobs/rules/place.ts'
import { shownRate } from '../shared/limits/rules/budget.ts'
import type { Json } from '../shared/values/json.ts'
import { pick } from '../shared/values/pick.ts'
import type { LinkKind } from './link-kind.ts'
import { showWebhook } from './own-webhook.ts'
import type { Waiting } from './waiting.ts'
import type { Crowd } from '../shared/jobs/rules/sharing.ts'

export interface JobViewOptions {
  links: ArtifactLinks
  lasting: LastingLinks
  /** Longest wait for Replicate's confirmation of a stop, ms; then the job ends without it. */
  stopBound: number
  /** Default retention of jobs. */
  keep: DeploymentKeep
}

const time = (ms: number): string => new Date(ms).toISOString()
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

type Words = Pick<WaitingFor, 'reason' | 'detail'>
/** null: not known yet, or never. */
const endOf = (ms: number | undefined): string | null => (ms === undefined || ms === Infinity ? null : time(ms))

export const keepWords = ({ payload, job, files }: Keep): JobKeep => ({
  payload: formatDuration(payload),
  job: formatDuration(job),
  files: formatDuration(files),
})

const PAUSE_WORDS: Record<Pause['reason'], string> = {
  rate_limited: 'Replicate limits the rate of new predictions.',
  upstream: 'Replicate is failing or cannot be reached. Creation resumes when it works again.',
  storage: 'Outputs cannot be stored right now, so no predictions are created.',
  account: 'Replicate refuses the account. The operator has to check the token and the credit.',
  webhook: 'Replicate refuses the webhook URL of this service. The operator has to correct PUBLIC_URL.',
}

const UPSTREAM: Words = { reason: 'upstream', detail: PAUSE_WORDS.upstream }
const REDIS: Words = {
  reason: 'redis',
  detail: 'The database cannot be used for new predictions. The operator has to check Redis.',
}

/** Only conditions that stop creation. */
const CONDITION_WORDS: Partial<Record<ConditionName, Words>> = {
  no_worker: { reason: 'worker', detail: 'No worker is running. The operator has to start one.' },
  token_refused: { reason: 'account', detail: PAUSE_WORDS.account },
  upstream_failing: UPSTREAM,
  recovery_former: {
    reason: 'recovery',
    detail: 'Creation waits until all create requests that were sent earlier are over.',
  },
  recovery_listing: {
    reason: 'recovery',
    detail: 'Creation waits until the database has been compared with the predictions at Replicate.',
  },
  deployment_lost: REDIS,
}

const CROWD_WORDS: Record<Crowd, string> = {
  sequence: 'It starts when the earlier jobs of its batch have ended.',
  max_spend: 'The rest of the batch budget is held for jobs in progress.',
}

const budgetWords = ({ perMinute, ceiling }: { perMinute: number; ceiling: number }): string =>
  perMinute < ceiling
    ? `Waiting for the create budget. Replicate limits it to ${shownRate(perMinute)} predictions per minute at present, instead of ${ceiling}.`
    : `Waiting for the create budget of ${ceiling} predictions per minute.`

/** A limit of jobs in flight, by its scope. */
function limitWords(scope: string): Words {
  if (brokenTarget(scope) !== null)
    return {
      reason: 'upstream',
      detail: 'The model fails at Replicate. Its predictions are paused, and then tried one by one.',
    }
  if (scope.startsWith('preset:')) return { reason: 'preset_limit', detail: 'This preset is at its concurrency limit.' }
  if (scope.startsWith('tenant:'))
    return { reason: 'concurrency', detail: 'As many jobs of this tenant are in flight as its limit allows.' }
  return { reason: 'concurrency', detail: `As many jobs of ${scope} are in flight as its limit allows.` }
}

/** First come those that a reader looks for. */
const SHOWN = [...new Set([...(['id', 'status', 'phase'] as const), ...fieldsWith('shown')])]

/** Representation of a job in the API. */
export function createJobView({ links, lasting, keep, stopBound }: JobViewOptions) {
  function waitingFor(waiting: Waiting): WaitingFor | null {
    if (waiting === null) return null
    if (waiting.for === 'outcome')
      return {
        reason: 'outcome',
        detail:
          'The create request has an unknown outcome. It is not repeated until a webhook or a listing resolves it.',
        until: null,
      }
    if (waiting.for === 'stop')
      return {
        reason: 'stop',
        detail: 'The cancel was sent to Replicate and is not confirmed yet.',
        until: time(waiting.since + stopBound),
      }
    if (waiting.for === 'store')
      return {
        reason: waiting.wait?.reason ?? 'copy',
        detail: waiting.wait?.detail ?? 'The output files are being copied.',
        until: timeOrNull(waiting.wait?.until ?? null),
      }
    if (waiting.for === 'start')
      return { reason: 'scheduled', detail: 'It starts at the time that was submitted.', until: time(waiting.at) }
    const { crowd, blocked, manual, pause, condition, wait, rate } = waiting
    if (manual !== null) return { reason: 'paused', detail: `Paused: ${manual}`, until: null }
    if (blocked !== null) return { ...limitWords(blocked), until: null }
    if (crowd) return { reason: crowd, detail: CROWD_WORDS[crowd], until: null }
    if (pause) return { reason: pause.reason, detail: PAUSE_WORDS[pause.reason], until: timeOrNull(pause.until) }
    const words = condition && CONDITION_WORDS[condition]
    if (words) return { ...words, until: null }
    if (wait) return { ...wait, until: null }
    return {
      reason: 'budget',
      detail: budgetWords(rate),
      until: null,
    }
  }

  /** Replaces artifact ids in the output by links. */
  function withLinks(output: Json, urls: ReadonlyMap<string, string>): Json {
    if (typeof output === 'string') return urls.get(output) ?? output
    if (Array.isArray(output)) return output.map((item) => withLinks(item, urls))
    if (output !== null && typeof output === 'object')
      return Object.fromEntries(Object.entries(output).map(([key, item]) => [key, withLinks(item, urls)]))
    return output
  }

  function urlsOf(job: JobRecord, artifact: ArtifactRecord, kind: LinkKind) {
    const { id } = artifact
    const { file, small } = namedFiles(job, artifact)
    const urls =
      kind === 'hourly'
        ? { url: links.path(id), thumbnail_url: small && links.path(id, THUMBNAIL) }
        : { url: lasting.path(id, '', file), thumbnail_url: small && lasting.path(id, THUMBNAIL, small) }
    return { name: file.name, ...urls }
  }

  return (job: JobRecord, waiting: Waiting, kind: LinkKind = 'hourly', forecast?: Forecast | null): Job => {
    const ends = endsOf(job, keep)
    const expires_at = endOf(ends?.files)
    const artifacts = job.artifacts.map((artifact) => {
      const { id, key, media_type, bytes, sha256, width, height, duration } = artifact
      return {
        id,
        ...urlsOf(job, artifact, kind),
        media_type,
        bytes,
        sha256,
        width,
        height,
        duration,
        location: S3_KEY.test(key) ? key : null,
        expires_at,
      }
    })
    return {
      ...pick(job, SHOWN),
      input_truncated: job.input_bytes !== null,
      output: withLinks(
        job.phase === 'running' ? job.partial : job.output,
        new Map(artifacts.map(({ id, url }) => [id, url])),
      ),
      artifacts,
      webhook: showWebhook(job.webhook),
      cost: costOf(job),
      waiting_for: waitingFor(waiting),
      ...(forecast === undefined ? {} : { forecast }),
      keep: keepWords(keepOf(job, keep)),
      not_before: timeOrNull(job.not_before),
      created_at: time(job.created_at),
      updated_at: time(job.updated_at),
      submitted_at: timeOrNull(job.submitted_at),
      started_at: timeOrNull(job.started_at),
      completed_at: timeOrNull(job.completed_at),
      payload_expires_at: endOf(ends?.payload),
      expires_at: endOf(ends?.job),
    }
  }
}

function costOf(job: JobRecord): JobCost | null {
  const { price, estimate, captured, uncollected, charge_estimated } = job
  if (price === null) return null
  const held = isFinal(job.phase) ? 0 : estimate
  return { estimate, held, captured, uncollected, estimated: charge_estimated }
}

export type JobView = ReturnType<typeof createJobView>
