import { ownedBy } from '../accounts.ts'
import { bootDelayMs, bootSecondsOf } from '../cold-boots.ts'
import type { Habits } from '../habits.ts'
import { newId } from '../identifiers.ts'
import { isRecord } from '../is-record.ts'
import { invalidHeader, invalidInput, invalidVersion, notFound } from '../http/problem.ts'
import { cut, json, type Reply } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import { anyModel } from '../models/catalogue.ts'
import type { Deployment } from '../models/changes.ts'
import type { Model } from '../models/model.ts'
import { createValidator, type InvalidField } from '../models/validate-input.ts'
import { notBegun, type Prediction, WEBHOOK_EVENTS, type WebhookEvent } from '../prediction.ts'
import { inputFields } from '../run-files.ts'
import { planRun } from '../run-plan.ts'
import { hashOf } from '../seeded-random.ts'
import { isVisible } from './deployments.ts'
import { firstOutput } from './first-output.ts'
import { garbage, pause, statusReply, withoutWebhooks } from './guards.ts'
import { readJson } from './json-request.ts'
import { parseCancelAfter, parsePrefer, tokenOf } from './request-headers.ts'
import { canSee, wantedName } from './models.ts'
import type { Services } from './services.ts'
import { showPrediction } from './show-prediction.ts'

/** The three ways to create a prediction: by version, by the name of an official model, through a deployment. */

interface Target {
  model: Model
  version: string
  deployment: Deployment | null
}

/** @param version of the body, if it is text; null: there is none, where one is required */
type FindTarget = (request: SimulatorRequest, version: string | null) => Target | Reply | null

interface CreateBody {
  version?: string
  input: Record<string, unknown>
  webhook?: string
  webhook_events_filter?: WebhookEvent[]
  stream?: boolean
}

export const WEBHOOK_FIELDS = {
  webhook: { type: 'string' },
  webhook_events_filter: { type: 'array', items: { type: 'string', enum: WEBHOOK_EVENTS } },
}

const bodySchema = (required: string[]) => ({
  type: 'object',
  required,
  properties: {
    ...(required.includes('version') ? { version: { type: 'string' } } : {}),
    input: { type: 'object' },
    ...WEBHOOK_FIELDS,
    stream: { type: 'boolean' },
  },
  additionalProperties: false,
})

const validateBody = createValidator(bodySchema(['input']))
const validateVersionedBody = createValidator(bodySchema(['version', 'input']))

export function createByVersion(services: Services): Handler {
  const { catalogue } = services
  return creation(services, validateVersionedBody, (request, version) => {
    if (version === null) return null
    const [name, digits] = version.split(':')
    const official = digits === undefined ? catalogue.byName(version) : undefined
    if (official?.official === true) return { model: official, version: 'hidden', deployment: null }
    const model = visibleVersion(services, request, digits ?? version)
    if (model !== undefined && (digits === undefined || model.name === name))
      return { model, version: model.version, deployment: null }
    return stubbedModel(services, request, digits ?? version, name ?? '') ?? invalidVersion()
  })
}

function visibleVersion({ catalogue }: Services, { account }: SimulatorRequest, id: string): Model | undefined {
  const model = catalogue.byVersion(id)
  const page = model === undefined ? undefined : catalogue.page(model.name)
  return page !== undefined && canSee(account, page) ? model : undefined
}

export function createByModel(services: Services): Handler {
  return creation(services, validateBody, (request) => {
    const name = wantedName(request)
    const model = services.catalogue.byName(name)
    if (model?.official === true) return { model, version: 'hidden', deployment: null }
    return stubbedModel(services, request, 'hidden', name) ?? notFound()
  })
}

/** A model that only a stub names. A create by its version alone does not say its name. */
function stubbedModel({ stubs }: Services, request: SimulatorRequest, version: string, name: string): Target | null {
  const model = stubs.nameOf({ model: name, version, token: tokenOf(request.headers) })
  return model === null
    ? null
    : { model: anyModel(model), version: /^[0-9a-f]{64}$/.test(version) ? version : 'hidden', deployment: null }
}

export function createByDeployment(services: Services): Handler {
  return creation(services, validateBody, (request) => {
    const found = services.catalogue.deployment(wantedName(request))
    if (found === undefined || !isVisible(request.account, found.deployment)) return notFound()
    return { model: found.model, version: found.model.version, deployment: found.deployment }
  })
}

/** Faults around every create: before it is accepted, and in its response. */
function creation(
  services: Services,
  validate: (body: unknown, field: string) => InvalidField[],
  findTarget: FindTarget,
): Handler {
  const { faults, habits, lifeCycle } = services
  return async (request) => {
    const body = await readJson(request, habits.current.max_body_bytes)
    const delay = faults.strike('create', 'delay')
    if (delay !== null) await pause(services, delay.seconds)
    if (faults.strike('create', 'cut_before_accept') !== null) return cut
    const status = faults.strike('create', 'status')
    if (status !== null) return statusReply(status)
    if ('kind' in body) return body
    const accepted = accept(services, request, body.value, validate, findTarget)
    if ('kind' in accepted) return accepted
    // A create returns the initial state of the prediction, even if the run is already further.
    const newborn = await showPrediction(services, accepted, request.origin, accepted.createdAt)
    lifeCycle.begin(accepted)
    if (faults.strike('create', 'cut_after_accept') !== null) return cut
    if (faults.strike('create', 'garbage') !== null) return garbage(201)
    const reply = await respond(services, request, accepted, newborn)
    return faults.strike('create', 'hide_webhook') === null ? reply : withoutWebhooks(reply)
  }
}

function accept(
  services: Services,
  request: SimulatorRequest,
  value: unknown,
  validate: (body: unknown, field: string) => InvalidField[],
  findTarget: FindTarget,
): Prediction | Reply {
  // An unknown version is the first that the real API complains about.
  const target = findTarget(request, versionIn(value))
  if (target !== null && 'kind' in target) return target
  const wrong = validate(value, '')
  if (target === null || !isCreateBody(value, wrong)) return invalidInput(wrong)
  const body = value
  const { book, catalogue, habits } = services
  const wrongInput = [...catalogue.validate(target.model, body.input), ...wrongWebhook(body, habits.current)]
  if (wrongInput.length > 0) return invalidInput(wrongInput)
  const cancelAfterMs = parseCancelAfter(request.headers['cancel-after'])
  if (cancelAfterMs === 'invalid') {
    return invalidHeader('Cancel-After', 'Expected a duration of at least 5 seconds, like 30, 90s, 5m or 1h30m45s.')
  }
  const prediction = newPrediction(services, request, body, target, cancelAfterMs)
  book.add(prediction)
  return prediction
}

function versionIn(value: unknown): string | null {
  const { version } = isRecord(value) ? value : {}
  return typeof version === 'string' ? version : null
}

/** A value that passed validation has the form of the schema. */
const isCreateBody = (_value: unknown, wrong: InvalidField[]): _value is CreateBody => wrong.length === 0

function newPrediction(
  { book, catalogue, clock, faults, habits, speed, stubs }: Services,
  request: SimulatorRequest,
  body: CreateBody,
  { model, version, deployment }: Target,
  cancelAfterMs: number | null,
): Prediction {
  const createdAt = clock.now()
  const seed = hashOf(`${book.identity.seed}.${book.nextSequence()}`)
  const input = catalogue.known(model, body.input)
  const called = { model: model.name, version: version === 'hidden' ? model.version : version }
  const stub = stubs.take({ ...called, token: tokenOf(request.headers) }, input)
  const limitSeconds = habits.current.run_limit_seconds
  const plan = planRun(model, seed, { speed, stub, limitSeconds })
  const bootTarget = { model, version, deployment }
  const bootMs = (bootSecondsOf(bootTarget, seed, habits.current) * 1000) / speed
  const warmMs = habits.current.warm_seconds * 1000
  const bootDelay = bootDelayMs(bootTarget, book.all(), { bootMs, warmMs, now: createdAt })
  const failure = faults.strike('predictions', 'fail')
  const huge = faults.strike('predictions', 'huge_logs')
  const hugeOutput = faults.strike('predictions', 'huge_output')
  const output = faults.strike('predictions', 'output')
  const metrics = faults.strike('predictions', 'metrics')
  const otherModel = faults.strike('predictions', 'other_model')
  return {
    id: newId(),
    createdAt,
    model: model.name,
    version,
    deployment: deployment?.name ?? null,
    ...ownedBy(request.account),
    input,
    ...(inputFields(model).length > 0 ? { inputs: null } : {}),
    seed,
    origin: request.origin,
    webhook: body.webhook ?? null,
    events: body.webhook_events_filter ?? ['output', 'completed'],
    ...(body.webhook_events_filter === undefined ? {} : { filtered: true }),
    deadlineAt: cancelAfterMs === null ? null : createdAt + cancelAfterMs,
    plan: {
      ...plan,
      startAfterMs:
        faults.strike('predictions', 'starting_forever') === null ? later(plan.startAfterMs, bootDelay) : null,
      error: failure?.error ?? plan.error,
      extraLogBytes: huge?.bytes ?? 0,
      ...(hugeOutput === null ? {} : { hugeOutput }),
      ...(output === null ? {} : { shape: output.shape }),
      ...(metrics === null ? {} : { metrics: metrics.keep }),
      ...(otherModel === null ? {} : { shownModel: otherModel.name }),
    },
    ...notBegun(),
  }
}

const later = (ms: number | null, by: number) => (ms === null ? null : ms + by)

async function respond(
  services: Services,
  request: SimulatorRequest,
  prediction: Prediction,
  newborn: object,
): Promise<Reply> {
  const { habits } = services
  const prefer = parsePrefer(request.headers.prefer)
  const location = { location: `${request.origin}/v1/predictions/${prediction.id}` }
  if (prefer === null) return json(201, newborn, habits.current.location_header ? location : {})
  const early = await firstOutput(services, prediction, request.origin, prefer.seconds * 1000)
  if (early !== null) return json(201, early, { 'preference-applied': prefer.applied })
  const applied = { 'preference-applied': prefer.applied }
  const isOver = prediction.end !== null
  const view =
    isOver || habits.current.unfinished_wait_status === 'current'
      ? await showPrediction(services, prediction, request.origin)
      : newborn
  return isOver
    ? json(201, view, applied)
    : json(habits.current.unfinished_wait_code, view, { ...applied, ...location })
}

export function wrongWebhook(
  { webhook }: { webhook?: string },
  { http_webhooks: allowsHttp, wrong_webhooks: others }: Habits,
): InvalidField[] {
  if (webhook === undefined) return []
  const protocol = URL.parse(webhook)?.protocol
  const isAccepted = protocol === 'http:' ? allowsHttp : protocol === 'https:' || others === 'accepted'
  if (isAccepted) return []
  return [{ type: 'format', field: 'webhook', description: 'Must be an HTTPS URL' }]
}
