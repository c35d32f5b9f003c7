import type { JobManifest } from '../../client/types.ts'
import type { JobRecord } from '../../shared/jobs/job.ts'
import type { JobStore } from '../../shared/jobs/ports.ts'
import { inputHash } from '../../shared/jobs/run-facts.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { createOwnedJob } from '../owned-job.ts'
import type { ShowJob } from './jobs.ts'

/** What a result was made of and what came out: to be kept beside it. */
export function manifestRoutes({ store, show }: { store: Pick<JobStore, 'read'>; show: ShowJob }): Route[] {
  const owned = createOwnedJob(store)

  async function manifest(request: OwnedRequest): Promise<ApiResponse> {
    return { status: 200, body: await manifestOf(await owned(request)) }
  }

  async function manifestOf(record: JobRecord): Promise<JobManifest> {
    const job = await show(record)
    const { id, status, preset, batch, position, model, version, deployment, prediction_id, attempt, retry_of } = job
    const { input, metrics, cost, error, metadata, created_at, submitted_at, started_at, completed_at } = job
    return {
      job: id,
      status,
      preset,
      batch,
      position,
      retry_of,
      requested: { model, version, deployment },
      version: record.resolved_version,
      seed: record.seed,
      prediction_id,
      attempt,
      input,
      input_sha256: inputHash(record),
      // Links end; what they lead to is named by id and place.
      artifacts: job.artifacts.map(({ url: _url, thumbnail_url: _thumbnail, ...facts }) => facts),
      metrics,
      cost,
      error,
      metadata,
      created_at,
      submitted_at,
      started_at,
      completed_at,
    }
  }

  return [{ method: 'GET', path: '/v1/jobs/:id/manifest', scope: 'jobs:read', tokenOpens: true, handle: manifest }]
}
