import { isReplicateDelivery } from '../../artifacts/rules/delivery.ts'
import { planOutput } from '../../artifacts/rules/output.ts'
import type { JobRecord } from '../../jobs/rules/job.ts'

/** Number of delivered outputs: the files, or 1 for a text or another value, or 0 for an empty output. */
export function countOutputs(
  job: Pick<JobRecord, 'output' | 'output_artifact' | 'output_shape' | 'artifacts'>,
): number {
  const { output, output_artifact, output_shape, artifacts } = job
  // The artifact that holds a long output as JSON is not one of its files.
  const stored = artifacts.filter(({ id }) => id !== output_artifact).length
  if (artifacts.length > 0) return Math.max(1, stored)
  const files = planOutput(output, { shape: output_shape, delivers: isReplicateDelivery }).files.length
  if (files > 0) return files
  return output === null || output === '' || (Array.isArray(output) && output.length === 0) ? 0 : 1
}
