import { compileOutputShape, type OutputShape } from '../artifacts/rules/output-shape.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import { namedModel } from './rules/named-model.ts'
import type { ModelCatalogue } from '../replicate/model-catalogue.ts'
import type { UpstreamModel } from '../replicate/prediction-port.ts'

/** Meaning of a model's outputs by its Output schema; null when it is unknown or not available in time. */
export type OutputShapes = (target: Pick<JobRecord, 'model' | 'version'>) => Promise<OutputShape | null>

/** `withinMs`: longest wait for a schema that is not cached yet, ms. */
export function createOutputShapes(models: Pick<ModelCatalogue, 'quickly'>, withinMs: number): OutputShapes {
  const compiled = new WeakMap<UpstreamModel, OutputShape>()
  return async (target) => {
    const named = namedModel(target)
    const model = named && (await models.quickly(...named, withinMs))
    if (!model) return null
    const shape = compiled.get(model) ?? compileOutputShape(model.schemas.Output, model.schemas)
    compiled.set(model, shape)
    return shape
  }
}
