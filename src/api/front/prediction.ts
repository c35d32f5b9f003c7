import type { FrontLinks } from './front-links.ts'
import { asReplicateOutput } from '../../shared/artifacts/rules/output.ts'
import { namedFiles, type LastingLinks } from '../../shared/artifacts/rules/lasting-links.ts'
import { namedModel } from '../../shared/catalogue/rules/named-model.ts'
import { deadlineOf } from '../../shared/jobs/rules/deadlines.ts'
import { endsOf, type DeploymentKeep } from '../../shared/jobs/rules/keep.ts'
import { isFinal, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { OwnWebhook } from '../../shared/notifications/rules/own-webhook.ts'
import type { Json, JsonObject } from '../../shared/values/json.ts'
import { mapTexts } from '../../shared/inputs/rules/reference.ts'
import { predictionIdOf } from './ids.ts'

/** Statuses of Replicate's predictions that we show: never `aborted`, which its own clients do not know. */
export type PredictionStatus = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'

/** A prediction as Replicate's API shows it. Times are RFC 3339. */
export interface Prediction {
  id: string
  model: string
  version: string
  input: JsonObject | null
  output: Json
  logs: string
  error: string | null
  status: PredictionStatus
  created_at: string
  started_at?: string
  completed_at?: string
  deadline?: string
  data_removed: boolean
  metrics: JsonObject
  source: 'api'
  deployment?: string
  /** Only where the create had one. */
  webhook?: string
  webhook_events_filter?: string[]
  urls: { get: string; cancel: string; web: string; stream: string }
}

/** What a prediction shows besides the record of its job. */
export interface Shown {
  /** `https://host` by which the client addressed this service. */
  origin: string
  logs: string
  /** The output, when it is kept as a file, because it is long. */
  longOutput?: Json | undefined
}

export interface PredictionViewOptions {
  lasting: LastingLinks
  links: FrontLinks
  /** Default retention of jobs. */
  keep: DeploymentKeep
}

const time = (ms: number): string => new Date(ms).toISOString()

/** The error code of a job that its deadline or its timeout ended. */
const TIMEOUT = 'timeout'

/**
 * The status that Replicate would show. A job that is storing its files is still processing. A run that ended by its deadline
 * is canceled there, and never `aborted`; one that missed its start has failed.
 */
export function statusOf({ status, error }: Pick<JobRecord, 'status' | 'error'>): PredictionStatus {
  if (status === 'queued') return 'starting'
  return status === 'failed' && error?.code === TIMEOUT ? 'canceled' : status
}

/** Version in the form of Replicate's: 64 digits, or `hidden` for an official model. */
function versionOf({ resolved_version, version }: Pick<JobRecord, 'resolved_version' | 'version'>): string {
  return resolved_version ?? version?.replace(/^.*:/, '') ?? 'hidden'
}

/** '' until a bare version has completed: only Replicate knows its model. */
const modelOf = (job: JobRecord): string => namedModel(job)?.[0] ?? job.deployment ?? job.resolved_model ?? ''

/** The view of a job as a prediction of Replicate's. */
export function createPredictionView({ lasting, links, keep }: PredictionViewOptions) {
  /** Lasting links of a job's files, by the ids that its output has in their place. */
  function urlsOf(job: JobRecord, origin: string): Map<string, string> {
    return new Map(
      job.artifacts.map((artifact) => {
        const { file } = namedFiles(job, artifact)
        return [artifact.id, origin + lasting.path(artifact.id, '', file)]
      }),
    )
  }

  function outputOf(job: JobRecord, { origin, longOutput }: Shown): Json {
    const found = job.phase === 'running' ? job.partial : (longOutput ?? job.output)
    const urls = urlsOf(job, origin)
    return asReplicateOutput(
      mapTexts(found, (text) => urls.get(text) ?? text),
      job,
    )
  }

  return (job: JobRecord, shown: Shown): Prediction => {
    const deadline = deadlineOf(job)
    const { origin } = shown
    const id = predictionIdOf(job.id)
    const url = `${origin}${links.prediction(id)}`
    const status = statusOf(job)
    const ends = endsOf(job, keep)
    return {
      id,
      model: modelOf(job),
      version: versionOf(job),
      input: job.input === null ? {} : mapInput(job.input, origin, links),
      output: outputOf(job, shown),
      logs: shown.logs,
      error: status === 'failed' ? (job.error?.message ?? 'The prediction failed.') : null,
      status,
      created_at: time(job.created_at),
      ...(job.started_at === null ? {} : { started_at: time(job.started_at) }),
      ...(job.completed_at === null ? {} : { completed_at: time(job.completed_at) }),
      ...(deadline === null ? {} : { deadline: time(deadline) }),
      data_removed: isFinal(job.phase) && job.input === null && ends !== null,
      metrics: job.metrics,
      source: 'api',
      ...(job.deployment === null ? {} : { deployment: job.deployment }),
      ...(job.webhook?.shape === 'replicate' ? webhookOf(job.webhook) : {}),
      urls: {
        get: url,
        cancel: `${url}/cancel`,
        web: `${origin}/runs/${job.id}`,
        stream: `${origin}${links.stream(job)}`,
      },
    }
  }
}

const webhookOf = ({ url, filter }: OwnWebhook): Pick<Prediction, 'webhook' | 'webhook_events_filter'> => ({
  webhook: url,
  ...(filter === null ? {} : { webhook_events_filter: filter }),
})

/** Uploads in an input, by the URLs that the client knows. */
const mapInput = (input: JsonObject, origin: string, links: FrontLinks): JsonObject =>
  Object.fromEntries(
    Object.entries(input).map(([key, value]) => [
      key,
      mapTexts(value, (text) => {
        const path = links.fileOfReference(text)
        return path === null ? text : origin + path
      }),
    ]),
  )

export type PredictionView = ReturnType<typeof createPredictionView>
