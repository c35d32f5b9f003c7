import { compileOutputShape, type OutputShape } from '../artifacts/output-shape.ts'
import type { JobRecord } from '../jobs/job.ts'
import type { ModelCatalogue } from '../replicate/model-catalogue.ts'
import type { UpstreamModel } from '../replicate/prediction-port.ts'

/** What the outputs of a model mean, by its Output schema; null: it is not known, or could not be had in time. */
export type OutputShapes = (target: Pick<JobRecord, 'model' | 'version'>) => Promise<OutputShape | null>

/** A version alone, or a deployment, does not name its model. */
export function namedModel({
  model,
  version,
}: Pick<JobRecord, 'model' | 'version'>): [name: string, version: string | null] | null {
  if (model !== null) return [model, null]
  const [name, id] = version?.split(':') ?? []
  return name !== undefined && id !== undefined ? [name, id] : null
}

/** `withinMs`: how long a schema that is not known yet is waited for. */
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
