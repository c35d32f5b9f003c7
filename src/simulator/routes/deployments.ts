import { isOwner, SHARED_ACCOUNT } from '../accounts.ts'
import { forbidden, invalidInput, invalidVersion, notFound, refused } from '../http/problem.ts'
import { empty, json, type Reply } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import type { Deployment } from '../models/changes.ts'
import { createValidator, type InvalidField } from '../models/validate-input.ts'
import { timestamp } from '../prediction-view.ts'
import { showAccount } from './account.ts'
import { isHardware, unknownHardware } from './hardware.ts'
import { readJson } from './json-request.ts'
import { canSee, ownerPart, wantedName } from './models.ts'
import { pageOf } from './pages.ts'
import type { Services } from './services.ts'

/** Deployments. Texts and codes of what is refused are not documented. */

const BODY_BYTES = 1_000_000
const UNUSED_MS = 15 * 60_000

interface Settings {
  version?: string
  hardware?: string
  min_instances?: number
  max_instances?: number
}

const SETTINGS = {
  version: { type: 'string' },
  hardware: { type: 'string' },
  min_instances: { type: 'integer', minimum: 0, maximum: 5 },
  max_instances: { type: 'integer', minimum: 0, maximum: 20 },
}

const validateSettings = createValidator({ type: 'object', properties: SETTINGS })
const validateNew = createValidator({
  type: 'object',
  required: ['name', 'model', 'version', 'hardware', 'min_instances', 'max_instances'],
  properties: {
    name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
    model: { type: 'string' },
    ...SETTINGS,
  },
})

/** Deployments of the models files are there for every account. */
export const isVisible = (account: string, { name, createdBy }: Deployment): boolean =>
  createdBy === null || isOwner(account, ownerPart(name))

export function listDeployments(services: Services): Handler {
  return (request) =>
    pageOf({
      request,
      rows: () => services.catalogue.deployments().filter((one) => isVisible(request.account, one)),
      idOf: ({ name }) => name,
      show: (one) => showDeployment(services, one),
    })
}

export const getDeployment = (services: Services): Handler =>
  withDeployment(services, (deployment) => json(200, showDeployment(services, deployment)))

export function createDeployment(services: Services): Handler {
  const { book, catalogue, clock } = services
  return async (request) => {
    const body = await readJson(request, BODY_BYTES)
    if ('kind' in body) return body
    const wrong = validateNew(body.value, '')
    if (!isNew(body.value, wrong)) return invalidInput(wrong)
    const name = `${request.account}/${body.value.name}`
    if (catalogue.deployments().some((one) => one.name === name))
      return refused(409, 'A deployment with that name already exists')
    const begun: Deployment = {
      name,
      model: body.value.model,
      version: null,
      hardware: '',
      minInstances: 0,
      maxInstances: 0,
      number: 0,
      createdAt: clock.now(),
      createdBy: request.account,
    }
    return release(services, request, begun, body.value, book.change)
  }
}

export function updateDeployment(services: Services): Handler {
  return withDeployment(services, async (deployment, request) => {
    const body = await readJson(request, BODY_BYTES)
    if ('kind' in body) return body
    const wrong = validateSettings(body.value, '')
    if (!isSettings(body.value, wrong)) return invalidInput(wrong)
    if (!isOwner(request.account, ownerPart(deployment.name))) return forbidden()
    return release(services, request, deployment, body.value, services.book.change)
  })
}

type Change = Services['book']['change']

/** The next release of a deployment, with these settings. */
function release(
  services: Services,
  { account }: SimulatorRequest,
  before: Deployment,
  settings: Settings,
  change: Change,
): Reply {
  const { catalogue, clock, lifeCycle } = services
  const { version: id = before.version, hardware = before.hardware } = settings
  const page = catalogue.page(before.model)
  if (page === undefined || !canSee(account, page)) return invalidVersion()
  const version = id === null ? catalogue.byName(before.model) : catalogue.byVersion(id)
  if (version?.name !== before.model) return invalidVersion()
  if (!isHardware(hardware)) return invalidInput([unknownHardware])
  const { min_instances: minInstances = before.minInstances, max_instances: maxInstances = before.maxInstances } =
    settings
  if (minInstances > maxInstances) return invalidInput([MORE_THAN_MAXIMUM])
  const row: Deployment = {
    ...before,
    version: id,
    hardware,
    minInstances,
    maxInstances,
    number: before.number + 1,
    createdAt: clock.now(),
    createdBy: account,
  }
  change({ t: 'deployment', name: row.name, row })
  lifeCycle.releaseQueue(row.name)
  return json(200, showDeployment(services, row))
}

const MORE_THAN_MAXIMUM = {
  type: 'number_lte',
  field: 'min_instances',
  description: 'Must be less than or equal to max_instances',
}

/** Replicate deletes only a deployment that was unused for 15 minutes. */
export function deleteDeployment(services: Services): Handler {
  const { book, clock } = services
  return withDeployment(services, ({ name }, { account }) => {
    if (!isOwner(account, ownerPart(name))) return forbidden()
    const isUsed = [...book.all()].some(
      (one) => one.deployment === name && (one.end === null || clock.now() - one.end.at + one.agedMs < UNUSED_MS),
    )
    if (isUsed)
      return refused(400, 'You can only delete deployments that have been offline and unused for at least 15 minutes')
    book.change({ t: 'deployment', name, row: null })
    return empty(204)
  })
}

function withDeployment(
  { catalogue }: Services,
  handler: (deployment: Deployment, request: SimulatorRequest) => Reply | Promise<Reply>,
): Handler {
  return (request) => {
    const deployment = catalogue.deployment(wantedName(request))?.deployment
    return deployment === undefined || !isVisible(request.account, deployment)
      ? notFound()
      : handler(deployment, request)
  }
}

/** A value that passed validation has the form of the schema. */
const isSettings = (_value: unknown, wrong: InvalidField[]): _value is Settings => wrong.length === 0
const isNew = (_value: unknown, wrong: InvalidField[]): _value is Settings & { name: string; model: string } =>
  wrong.length === 0

function showDeployment({ catalogue }: Services, deployment: Deployment) {
  const [owner, name] = deployment.name.split('/')
  return {
    owner,
    name,
    current_release: {
      number: deployment.number,
      model: deployment.model,
      version: catalogue.deployment(deployment.name)?.model.version ?? '',
      created_at: timestamp(deployment.createdAt, 6),
      created_by: showAccount(deployment.createdBy ?? SHARED_ACCOUNT),
      configuration: {
        hardware: deployment.hardware,
        min_instances: deployment.minInstances,
        max_instances: deployment.maxInstances,
      },
    },
  }
}
