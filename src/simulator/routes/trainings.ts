import { randomBytes } from 'node:crypto'
import { isOwner, ownedBy, ownerOf } from '../accounts.ts'
import { invalidInput, notFound, refused, unknownDestination } from '../http/problem.ts'
import { json } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import { newId } from '../identifiers.ts'
import type { Model } from '../models/model.ts'
import { asTraining, type Training } from '../models/training.ts'
import { createValidator, type InvalidField } from '../models/validate-input.ts'
import { notBegun, type Prediction, type WebhookEvent } from '../prediction.ts'
import { planRun } from '../run-plan.ts'
import { hashOf } from '../seeded-random.ts'
import { WEBHOOK_FIELDS, wrongWebhook } from './create-prediction.ts'
import { readJson } from './json-request.ts'
import { ownerPart, withVersion } from './models.ts'
import { pageOf } from './pages.ts'
import type { Services } from './services.ts'
import { showPrediction } from './show-prediction.ts'

/** Trainings: runs whose output is a new version of the destination. */

interface TrainingBody {
  destination: string
  input: Record<string, unknown>
  webhook?: string
  webhook_events_filter?: WebhookEvent[]
}

const validateBody = createValidator({
  type: 'object',
  required: ['destination', 'input'],
  properties: { destination: { type: 'string' }, input: { type: 'object' }, ...WEBHOOK_FIELDS },
})

export function createTraining(services: Services): Handler {
  const { book, catalogue, habits, lifeCycle } = services
  return withVersion(services, async (model, _page, request) => {
    const body = await readJson(request, habits.current.max_body_bytes)
    if ('kind' in body) return body
    const wrong = validateBody(body.value, '')
    if (!isTrainingBody(body.value, wrong)) return invalidInput(wrong)
    const { destination, input } = body.value
    if (catalogue.page(destination) === undefined || !isOwner(request.account, ownerPart(destination)))
      return unknownDestination()
    const wrongInput = catalogue.validateTraining(model, input)
    if (wrongInput === null) return refused(400, 'The specified model version does not support training')
    const wrongFields = [...wrongInput, ...wrongWebhook(body.value, habits.current)]
    if (wrongFields.length > 0) return invalidInput(wrongFields)
    const training = newTraining(services, request, model, body.value)
    book.add(training)
    const newborn = await showPrediction(services, training, request.origin, training.createdAt)
    lifeCycle.begin(training)
    return json(201, newborn)
  })
}

/** A value that passed validation has the form of the schema. */
const isTrainingBody = (_value: unknown, wrong: InvalidField[]): _value is TrainingBody => wrong.length === 0

function newTraining(
  { book, catalogue, clock, faults, speed }: Services,
  request: SimulatorRequest,
  model: Model,
  { destination, input, webhook, webhook_events_filter: events }: TrainingBody,
): Prediction {
  const seed = hashOf(`${book.identity.seed}.${book.nextSequence()}`)
  const { makes = null } = model.training ?? {}
  const training: Training = {
    destination,
    version: randomBytes(32).toString('hex'),
    like: (makes === null ? undefined : catalogue.byName(makes)?.version) ?? model.version,
  }
  const plan = planRun(asTraining(model, training), seed, { speed, stub: null, limitSeconds: null })
  const failure = faults.strike('trainings', 'fail')
  const isStuck = faults.strike('trainings', 'starting_forever') !== null
  return {
    id: newId(),
    createdAt: clock.now(),
    model: model.name,
    version: model.version,
    training,
    deployment: null,
    ...ownedBy(request.account),
    input,
    seed,
    origin: request.origin,
    webhook: webhook ?? null,
    events: events ?? ['output', 'completed'],
    ...(events === undefined ? {} : { filtered: true }),
    deadlineAt: null,
    plan: { ...plan, startAfterMs: isStuck ? null : plan.startAfterMs, error: failure?.error ?? null },
    ...notBegun(),
  }
}

export function listTrainings(services: Services): Handler {
  return (request) =>
    pageOf({
      request,
      rows: () =>
        [...services.book.newestFirst()].filter(
          (one) => one.training !== undefined && ownerOf(one) === request.account,
        ),
      idOf: ({ id }) => id,
      show: (one) => showPrediction(services, one, request.origin),
    })
}

export function getTraining(services: Services): Handler {
  return async (request) => {
    const training = trainingOf(services, request)
    return training === undefined ? notFound() : json(200, await showPrediction(services, training, request.origin))
  }
}

export function cancelTraining(services: Services): Handler {
  return async (request) => {
    const training = trainingOf(services, request)
    if (training === undefined) return notFound()
    services.lifeCycle.cancel(training)
    return json(200, await showPrediction(services, training, request.origin))
  }
}

function trainingOf({ book }: Services, { params, account }: SimulatorRequest): Prediction | undefined {
  const row = book.find(params['id'] ?? '')
  return row?.training !== undefined && ownerOf(row) === account ? row : undefined
}
