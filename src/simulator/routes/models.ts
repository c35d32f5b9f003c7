import { notFound, shortNotFound } from '../http/problem.ts'
import { json, text } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import type { DeploymentDefinition, Model } from '../models/model.ts'
import { openapiSchemaOf } from '../models/openapi-schema.ts'
import type { Services } from './services.ts'

const VERSION_ID = /^[0-9a-f]{64}$/
/** Creation time of the simulator's models. */
const CREATED_AT = '2026-01-01T00:00:00.000000Z'

const page = (results: unknown[]) => json(200, { next: null, previous: null, results })
const wanted = ({ params }: SimulatorRequest) => `${params['owner']}/${params['name']}`

export function listModels(services: Services): Handler {
  return () => page(services.catalogue.models.map((model) => showModel(services, model)))
}

export const getModel = (services: Services): Handler =>
  withModel(services, (model) => json(200, showModel(services, model)))

export const listVersions = (services: Services): Handler => withModel(services, (model) => page([showVersion(model)]))

export const getVersion = (services: Services): Handler =>
  withModel(services, (model, { params }) => {
    const { version = '' } = params
    if (version === model.version) return json(200, showVersion(model))
    return VERSION_ID.test(version) ? notFound() : shortNotFound()
  })

export const getReadme = (services: Services): Handler =>
  withModel(services, (model) => text(200, `# ${model.name}\n\n${model.description}\n`, 'text/plain; charset=utf-8'))

export const listExamples = (services: Services): Handler => withModel(services, () => page([]))

export function listDeployments({ catalogue }: Services): Handler {
  return () => page(catalogue.deployments.map((one) => showDeployment(one, catalogue.byName(one.model))))
}

export function getDeployment({ catalogue }: Services): Handler {
  return (request) => {
    const found = catalogue.deployment(wanted(request))
    return found === undefined ? notFound() : json(200, showDeployment(found.deployment, found.model))
  }
}

function withModel(
  { catalogue }: Services,
  handler: (model: Model, request: SimulatorRequest) => ReturnType<Handler>,
): Handler {
  return (request) => {
    const model = catalogue.byName(wanted(request))
    return model === undefined ? notFound() : handler(model, request)
  }
}

function showModel({ book }: Services, model: Model) {
  const [owner, name] = model.name.split('/')
  let runs = 0
  for (const prediction of book.all()) if (prediction.model === model.name) runs += 1
  return {
    url: `https://replicate.com/${model.name}`,
    owner,
    name,
    description: model.description,
    visibility: 'public',
    is_official: model.official,
    github_url: null,
    paper_url: null,
    license_url: null,
    run_count: runs,
    cover_image_url: null,
    default_example: null,
    latest_version: showVersion(model),
  }
}

function showVersion(model: Model) {
  return { id: model.version, created_at: CREATED_AT, cog_version: '0.16.7', openapi_schema: openapiSchemaOf(model) }
}

function showDeployment({ name: fullName, model: modelName }: DeploymentDefinition, model: Model | undefined) {
  const [owner, name] = fullName.split('/')
  return {
    owner,
    name,
    current_release: {
      number: 1,
      model: modelName,
      version: model?.version ?? '',
      created_at: CREATED_AT,
      created_by: { type: 'organization', username: 'acme', name: 'Acme Corp, Inc.' },
      configuration: { hardware: 'gpu-h100', min_instances: 1, max_instances: 5 },
    },
  }
}
