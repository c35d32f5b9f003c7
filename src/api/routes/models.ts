import { ServiceError } from '../../shared/errors.ts'
import type { ModelCatalogue } from '../../shared/replicate/model-catalogue.ts'
import type { Route } from '../http.ts'

/** What can be asked of a model: its input schema, as Replicate publishes it. */
export function modelRoutes(models: ModelCatalogue): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/models',
      scope: 'jobs:read',
      handle: async () => ({ status: 200, body: { data: await models.known(), next_cursor: null } }),
    },
    {
      method: 'GET',
      path: '/v1/models/:owner/:name',
      scope: 'jobs:read',
      handle: async ({ params }) => {
        const model = await models.find(`${params.owner}/${params.name}`)
        if (model === null) throw new ServiceError('model_not_found', 'Replicate knows no such model.')
        return { status: 200, body: model }
      },
    },
  ]
}
