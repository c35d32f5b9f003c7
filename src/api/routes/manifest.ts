import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import type { InputReader, JobReader } from '../../shared/jobs/ports.ts'
import { inputHash } from '../../shared/jobs/rules/run-facts.ts'
import type { JobManifest } from '../description/jobs.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { createOwnedJob } from '../owned.ts'
import { linksFor } from '../link-kind.ts'
import { fieldsOf, manifestQuerySchema, parseWith, queryObject } from '../schemas.ts'
import type { ShowJob } from './jobs.ts'

/** Manifest of a job: its input and its results, to be stored with the files. */
export function manifestRoutes({ store, show }: { store: JobReader & InputReader; show: ShowJob }): Route[] {
  const owned = createOwnedJob(store)

  async function manifest(request: OwnedRequest): Promise<ApiResponse> {
    const { links } = parseWith(manifestQuerySchema, queryObject(request.query))
    if (links) linksFor(request.principal, links)
    return { status: 200, body: await manifestOf(await store.whole(await owned(request)), links) }
  }

  async function manifestOf(record: JobRecord, links: 'lasting' | undefined): Promise<JobManifest> {
    const job = await show(record, links)
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
      // Hourly links expire too soon for a manifest, which names the files by id and key.
      artifacts: links
        ? job.artifacts
        : job.artifacts.map(({ url: _url, thumbnail_url: _thumbnail, ...facts }) => facts),
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

  return [
    {
      method: 'GET',
      path: '/v1/jobs/:id/manifest',
      query: fieldsOf(manifestQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: manifest,
    },
  ]
}
