import type { Model } from '../description/catalogue.ts'
import type { Catalogue } from '../../shared/catalogue/catalogue.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { ModelCatalogue } from '../../shared/replicate/model-catalogue.ts'
import type { UpstreamModel } from '../../shared/replicate/prediction-port.ts'
import type { Route } from '../http.ts'

/** Models with their input schemas, as Replicate publishes them. */
export function modelRoutes(models: ModelCatalogue, catalogue: Pick<Catalogue, 'problemOf'>): Route[] {
  const view = async (model: UpstreamModel): Promise<Model> => ({
    ...model,
    schema_problem: await catalogue.problemOf(model.name, null),
  })
  return [
    {
      method: 'GET',
      path: '/v1/models',
      scope: 'jobs:read',
      handle: async () => ({
        status: 200,
        body: { data: await Promise.all((await models.known()).map(view)), next_cursor: null },
      }),
    },
    {
      method: 'GET',
      path: '/v1/models/:owner/:name',
      scope: 'jobs:read',
      handle: async ({ params }) => {
        const model = await models.find(`${params.owner}/${params.name}`)
        if (model === null) throw new ServiceError('model_not_found', 'Replicate has no model of this name.')
        return { status: 200, body: await view(model) }
      },
    },
  ]
}
