import type { Job, JobCost, WaitingFor } from '../client/types.ts'
import type { ArtifactLinks } from '../shared/artifacts/artifact-links.ts'
import { S3_KEY } from '../shared/artifacts/artifact-store.ts'
import { fileNameOf } from '../shared/artifacts/file-names.ts'
import { isFinal, type JobRecord, type Json } from '../shared/jobs/job.ts'
import type { Crowd, Pause } from '../shared/jobs/ports.ts'
import type { Waiting } from './waiting.ts'

export interface JobViewOptions {
  links: ArtifactLinks
  createsPerMinute: number
  /** How long jobs and their files are kept after their end, ms. */
  keepJob: number
}

const time = (ms: number): string => new Date(ms).toISOString()
const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

const PAUSE_WORDS: Record<Pause['reason'], string> = {
  rate_limited: 'Replicate limits the rate of new predictions.',
  upstream: 'Replicate is in trouble; creation goes on when it is well again.',
  storage: 'Outputs cannot be stored right now.',
  account: 'Replicate refuses the account: check the token and the credit.',
}

const CROWD_WORDS: Record<Crowd, string> = {
  preset_limit: 'As many jobs of this preset are in flight as may be.',
  sequence: 'It begins when the jobs before it in its batch have ended.',
  max_spend: 'The rest of what its batch may spend is held for jobs that are under way.',
}

/** A record as its owner sees it. */
export function createJobView({ links, createsPerMinute, keepJob }: JobViewOptions) {
  function waitingFor(waiting: Waiting): WaitingFor | null {
    if (waiting === null) return null
    if (waiting.for === 'outcome')
      return {
        reason: 'outcome',
        detail:
          'It is not known whether Replicate received this job. It is not sent again before that is found out: by its webhook, or by listing.',
        until: null,
      }
    const { crowd, pause } = waiting
    if (crowd) return { reason: crowd, detail: CROWD_WORDS[crowd], until: null }
    if (pause) return { reason: pause.reason, detail: PAUSE_WORDS[pause.reason], until: timeOrNull(pause.until) }
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
