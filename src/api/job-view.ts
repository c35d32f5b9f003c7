import type { Job, JobCost, WaitingFor } from '../client/types.ts'
import type { ArtifactLinks } from '../shared/artifacts/artifact-links.ts'
import { S3_KEY } from '../shared/artifacts/artifact-store.ts'
import { fileNameOf } from '../shared/artifacts/file-names.ts'
import type { ConditionName } from '../shared/conditions/condition.ts'
import { isFinal, type JobRecord, type Json } from '../shared/jobs/job.ts'
import type { Crowd, Pause } from '../shared/jobs/ports.ts'
import type { Waiting } from './waiting.ts'

export interface JobViewOptions {
  links: ArtifactLinks
  createsPerMinute: number
  /** How long jobs and their files are kept after their end, ms. */
  keepJob: number
  /** How long a stop may take before the job ends without Replicate's word, ms. */
  stopBound: number
}

const time = (ms: number): string => new Date(ms).toISOString()
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

type Words = Pick<WaitingFor, 'reason' | 'detail'>

const PAUSE_WORDS: Record<Pause['reason'], string> = {
  rate_limited: 'Replicate limits the rate of new predictions.',
  upstream: 'Replicate is failing or cannot be reached. Creation resumes when it works again.',
  storage: 'Outputs cannot be stored right now, so no predictions are created.',
  account: 'Replicate refuses the account: the operator has to check the token and the credit.',
}

const UPSTREAM: Words = { reason: 'upstream', detail: PAUSE_WORDS.upstream }
const REDIS: Words = {
  reason: 'redis',
  detail: 'The database cannot be used for new predictions: the operator has to look at Redis.',
}

/** Only those that stop creation are asked for. */
const CONDITION_WORDS: Partial<Record<ConditionName, Words>> = {
  no_worker: { reason: 'worker', detail: 'No worker is running: the operator has to start one.' },
  token_refused: { reason: 'account', detail: PAUSE_WORDS.account },
  upstream_failing: UPSTREAM,
  recovery_former: {
    reason: 'recovery',
    detail: 'The database was restarted. Nothing is created before requests that began earlier are over.',
  },
  recovery_listing: {
    reason: 'recovery',
    detail: 'The database was restarted. Nothing is created before the predictions at Replicate have been compared.',
  },
  deployment_lost: REDIS,
}

const CROWD_WORDS: Record<Crowd, string> = {
  preset_limit: 'This preset is at its concurrency limit.',
  sequence: 'It starts when the jobs before it in its batch have ended.',
  max_spend: 'The rest of what its batch may spend is held for jobs that are under way.',
}

/** A record as its owner sees it. */
export function createJobView({ links, createsPerMinute, keepJob, stopBound }: JobViewOptions) {
  function waitingFor(waiting: Waiting): WaitingFor | null {
    if (waiting === null) return null
    if (waiting.for === 'outcome')
      return {
        reason: 'outcome',
        detail:
          'It is not known whether Replicate received this job. It is not sent again before that is found out: by its webhook, or by listing.',
        until: null,
      }
    if (waiting.for === 'stop')
      return {
        reason: 'stop',
        detail: 'Replicate has been asked to stop the prediction and has not confirmed it yet.',
        until: time(waiting.since + stopBound),
      }
    if (waiting.for === 'store')
      return { reason: 'copy', detail: 'The output files are being copied.', ...waiting.wait, until: null }
    const { crowd, pause, condition, wait } = waiting
    if (crowd) return { reason: crowd, detail: CROWD_WORDS[crowd], until: null }
    if (pause) return { reason: pause.reason, detail: PAUSE_WORDS[pause.reason], until: timeOrNull(pause.until) }
    const words = condition && CONDITION_WORDS[condition]
    if (words) return { ...words, until: null }
    if (wait) return { ...wait, until: null }
    return {
      reason: 'budget',
      detail: `Waiting for its turn: at most ${createsPerMinute} predictions are created a minute.`,
      until: null,
    }
  }

  /** Files stand in the output as the id of their artifact. */
  function withLinks(output: Json, urls: ReadonlyMap<string, string>): Json {
    if (typeof output === 'string') return urls.get(output) ?? output
    if (Array.isArray(output)) return output.map((item) => withLinks(item, urls))
    if (output !== null && typeof output === 'object')
      return Object.fromEntries(Object.entries(output).map(([key, item]) => [key, withLinks(item, urls)]))
    return output
  }

  return (job: JobRecord, waiting: Waiting): Job => {
    const expires_at = timeOrNull(job.completed_at === null ? null : job.completed_at + keepJob)
    const artifacts = job.artifacts.map(
      ({ id, key, media_type, bytes, sha256, width, height, duration, thumbnail }) => ({
        id,
        url: links.path(id),
        name: fileNameOf(job, { id, media_type }),
        media_type,
        bytes,
        sha256,
        width,
        height,
        duration,
        thumbnail_url: thumbnail === null ? null : links.path(id, '/thumbnail'),
        location: S3_KEY.test(key) ? key : null,
        expires_at,
      }),
    )
    return {
      id: job.id,
      status: job.status,
      phase: job.phase,
      attempt: job.attempt,
      tenant: job.tenant,
      preset: job.preset,
      batch: job.batch,
      position: job.position,
      model: job.model,
      version: job.version,
      deployment: job.deployment,
      prediction_id: job.prediction_id,
      input: job.input,
      retry_of: job.retry_of,
      output: withLinks(
        job.phase === 'running' ? job.partial : job.output,
        new Map(artifacts.map(({ id, url }) => [id, url])),
      ),
      artifacts,
      progress: job.progress,
      error: job.error,
      metrics: job.metrics,
      cost: costOf(job),
      metadata: job.metadata,
      webhook_events: job.webhook_events,
      waiting_for: waitingFor(waiting),
      on_unknown: job.on_unknown,
      store: job.store,
      timeout: job.timeout,
      start_within: job.start_within,
      rev: job.rev,
      created_at: time(job.created_at),
      submitted_at: timeOrNull(job.submitted_at),
      started_at: timeOrNull(job.started_at),
      completed_at: timeOrNull(job.completed_at),
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
