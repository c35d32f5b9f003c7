import type { JobRecord } from '../../jobs/rules/job.ts'

/** Model name and version of a job; null for a bare version or a deployment, which do not name their model. */
export function namedModel({
  model,
  version,
}: Pick<JobRecord, 'model' | 'version'>): [name: string, version: string | null] | null {
  if (model !== null) return [model, null]
  const [name, id] = version?.split(':') ?? []
  return name !== undefined && id !== undefined ? [name, id] : null
}
