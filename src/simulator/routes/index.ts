import { json } from '../http/reply.ts'
import type { Handler, Route } from '../http/router.ts'
import { getAccount, getWebhookSecret } from './account.ts'
import { adminRoutes } from './admin.ts'
import { getCollection, listCollections, queryModels, search } from './collections.ts'
import { createByDeployment, createByModel, createByVersion } from './create-prediction.ts'
import { createDeployment, deleteDeployment, getDeployment, listDeployments, updateDeployment } from './deployments.ts'
import { getFile } from './files.ts'
import { kitRoutes } from './kit.ts'
import { type AnswerGroup, asUnknown, authenticated, faulty, limited, paid, shaken } from './guards.ts'
import { createModel, deleteModel, deleteVersion, updateModel } from './model-writes.ts'
import { getModel, getReadme, getVersion, listExamples, listModels, listVersions } from './models.ts'
import { cancelPrediction, getPrediction, listPredictions } from './predictions.ts'
import type { Services } from './services.ts'
import { getStream, streamedBy } from './streams.ts'
import { listHardware } from './hardware.ts'
import { cancelTraining, createTraining, getTraining, listTrainings } from './trainings.ts'
import { createUpload, deleteUpload, downloadUpload, getUpload, listUploads } from './uploads.ts'

/** All routes of the simulator. */
export function routesOf(services: Services): Route[] {
  const { book } = services
  const creating = (handler: Handler) =>
    counted(
      () => book.count('create_requests'),
      authenticated(
        services,
        shaken(services, asUnknown(services, paid(services, limited(services, 'creates', handler)))),
      ),
    )
  const other = (group: AnswerGroup, handler: Handler, budget: 'reads' | 'gets' = 'reads') =>
    authenticated(
      services,
      shaken(services, asUnknown(services, limited(services, budget, faulty(services, group, handler)))),
    )
  const model = '/v1/models/:owner/:name'
  const version = `${model}/versions/:version`
  const deployment = '/v1/deployments/:owner/:name'
  return [
    { method: 'POST', path: '/v1/predictions', handler: creating(createByVersion(services)) },
    { method: 'POST', path: `${model}/predictions`, handler: creating(createByModel(services)) },
    {
      method: 'POST',
      path: `${deployment}/predictions`,
      handler: creating(createByDeployment(services)),
    },
    {
      method: 'GET',
      path: '/v1/predictions/:id',
      handler: counted(() => book.count('gets'), other('get', getPrediction(services), 'gets')),
    },
    {
      method: 'GET',
      path: '/v1/predictions',
      handler: counted(() => book.count('lists'), other('list', listPredictions(services))),
    },
    {
      method: 'POST',
      path: '/v1/predictions/:id/cancel',
      handler: counted(() => book.count('cancels'), other('cancel', cancelPrediction(services))),
    },
    { method: 'GET', path: '/v1/webhooks/default/secret', handler: other('secret', getWebhookSecret(services)) },
    { method: 'GET', path: '/v1/account', handler: other('account', getAccount) },
    { method: 'GET', path: '/v1/hardware', handler: other('models', listHardware) },
    { method: 'GET', path: '/v1/collections', handler: other('models', listCollections(services)) },
    { method: 'GET', path: '/v1/collections/:slug', handler: other('models', getCollection(services)) },
    { method: 'GET', path: '/v1/search', handler: other('models', search(services)) },
    { method: 'GET', path: '/v1/models', handler: other('models', listModels(services)) },
    { method: 'POST', path: '/v1/models', handler: other('models', createModel(services)) },
    { method: 'QUERY', path: '/v1/models', handler: other('models', queryModels(services)) },
    { method: 'GET', path: model, handler: other('models', getModel(services)) },
    { method: 'PATCH', path: model, handler: other('models', updateModel(services)) },
    { method: 'DELETE', path: model, handler: other('models', deleteModel(services)) },
    { method: 'GET', path: `${model}/versions`, handler: other('models', listVersions(services)) },
    { method: 'GET', path: version, handler: other('models', getVersion(services)) },
    { method: 'DELETE', path: version, handler: other('models', deleteVersion(services)) },
    {
      method: 'POST',
      path: `${version}/trainings`,
      handler: other('trainings', paid(services, createTraining(services))),
    },
    { method: 'GET', path: '/v1/trainings', handler: other('trainings', listTrainings(services)) },
    { method: 'GET', path: '/v1/trainings/:id', handler: other('trainings', getTraining(services)) },
    { method: 'POST', path: '/v1/trainings/:id/cancel', handler: other('trainings', cancelTraining(services)) },
    { method: 'GET', path: `${model}/readme`, handler: other('models', getReadme(services)) },
    { method: 'GET', path: `${model}/examples`, handler: other('models', listExamples(services)) },
    { method: 'GET', path: '/v1/deployments', handler: other('models', listDeployments(services)) },
    { method: 'POST', path: '/v1/deployments', handler: other('models', createDeployment(services)) },
    { method: 'GET', path: deployment, handler: other('models', getDeployment(services)) },
    { method: 'PATCH', path: deployment, handler: other('models', updateDeployment(services)) },
    { method: 'DELETE', path: deployment, handler: other('models', deleteDeployment(services)) },
    { method: 'GET', path: '/v1/files', handler: other('uploads', listUploads(services)) },
    { method: 'POST', path: '/v1/files', handler: other('uploads', createUpload(services)) },
    { method: 'GET', path: '/v1/files/:id', handler: fileOrStream(services, other('uploads', getUpload(services))) },
    { method: 'DELETE', path: '/v1/files/:id', handler: other('uploads', deleteUpload(services)) },
    { method: 'GET', path: '/v1/files/:id/download', handler: downloadUpload(services) },
    { method: 'GET', path: '/v1/streams/:id', handler: getStream(services) },
    { method: 'GET', path: '/files/:token/:name', handler: getFile(services) },
    ...adminRoutes(services),
    ...kitRoutes(services),
    {
      method: 'GET',
      path: '/',
      handler: () => json(200, { simulates: 'https://api.replicate.com/v1', api: '/v1', admin: '/_sim/books' }),
    },
  ]
}

/** Streams of files have the path of the files API; at Replicate they have their own host. */
function fileOrStream(services: Services, otherwise: Handler): Handler {
  const stream = getStream(services)
  return (request) => (streamedBy(services, request.params['id'] ?? '') === null ? otherwise : stream)(request)
}

const counted =
  (count: () => void, handler: Handler): Handler =>
  (request) => {
    count()
    return handler(request)
  }
