import { z } from 'zod'
import { habitsSchema } from '../habits.ts'
import { unprocessable } from '../http/problem.ts'
import { empty, json } from '../http/reply.ts'
import type { Handler, Route } from '../http/router.ts'
import { uploadSecret } from '../identifiers.ts'
import { type Prediction, statusAt } from '../prediction.ts'
import { removeExpired } from '../remove-expired.ts'
import type { Books } from '../test-kit-types.ts'
import { fieldsOf, withJson } from './json-body.ts'
import type { Services } from './services.ts'

/** `/_sim`: state that a test can read and change outside Replicate's API. */
export function adminRoutes(services: Services): Route[] {
  return [
    { method: 'GET', path: '/_sim/books', handler: () => json(200, showBooks(services)) },
    { method: 'GET', path: '/_sim/faults', handler: () => json(200, services.faults.all()) },
    { method: 'POST', path: '/_sim/faults', handler: changeFaults(services) },
    { method: 'DELETE', path: '/_sim/faults', handler: clearFaults(services) },
    { method: 'GET', path: '/_sim/habits', handler: () => json(200, services.habits.current) },
    { method: 'POST', path: '/_sim/habits', handler: changeHabits(services) },
    { method: 'POST', path: '/_sim/clock', handler: advanceClock(services) },
    { method: 'POST', path: '/_sim/age', handler: ageEverything(services) },
    { method: 'GET', path: '/_sim/credit', handler: () => json(200, showCredit(services)) },
    { method: 'POST', path: '/_sim/credit', handler: changeCredit(services) },
    { method: 'GET', path: '/_sim/secret', handler: () => json(200, showSecrets(services)) },
    { method: 'POST', path: '/_sim/secret', handler: () => json(200, { key: services.book.changeSecret() }) },
    { method: 'POST', path: '/_sim/reset', handler: reset(services) },
  ]
}

/** The books as a test reads them. */
export function showBooks({ book, clock }: Services): Books {
  const now = clock.now()
  const all = [...book.all()]
  const spend = all.reduce((sum, { cost }) => sum + cost, 0)
  return {
    predictions: all.filter((one) => one.training === undefined).map((one) => showRow(one, now)),
    trainings: all.filter((one) => one.training !== undefined).map((one) => showRow(one, now)),
    counts: { ...book.counts },
    webhooks: { ...book.webhooks },
    spend: dollars(spend),
  }
}

const dollars = (value: number) => Math.round(value * 1_000_000) / 1_000_000

const showRow = (prediction: Prediction, now: number) => ({
  id: prediction.id,
  created_at: new Date(prediction.createdAt).toISOString(),
  model: prediction.model,
  status: statusAt(prediction, now),
  webhook: prediction.webhook,
  billed_seconds: prediction.billedSeconds,
})

function changeFaults({ faults }: Services): Handler {
  return withJson((body) => {
    const wrong = faults.merge(body)
    return wrong.length > 0 ? unprocessable('Unknown or invalid fault', wrong) : json(200, faults.all())
  })
}

function clearFaults({ faults }: Services): Handler {
  return () => {
    faults.clear()
    return json(200, faults.all())
  }
}

function changeHabits({ habits }: Services): Handler {
  return withJson((body) => {
    const changes = z.record(z.string(), z.unknown()).safeParse(body)
    const parsed = habitsSchema.safeParse({ ...habits.current, ...changes.data })
    if (!changes.success || !parsed.success)
      return unprocessable('Invalid habits', fieldsOf(changes.error ?? parsed.error))
    habits.current = parsed.data
    return json(200, habits.current)
  })
}

const creditSchema = z.strictObject({ usd: z.number().nullable(), payment_method: z.boolean().default(true) })

function changeCredit(services: Services): Handler {
  return withJson((body) => {
    const parsed = creditSchema.safeParse(body)
    if (!parsed.success) return unprocessable('Invalid credit', fieldsOf(parsed.error))
    services.book.setCredit({ usd: parsed.data.usd, paymentMethod: parsed.data.payment_method })
    services.budgets.refill('lowCredit')
    return json(200, showCredit(services))
  })
}

/** Remaining credit in US dollars; null: unlimited. */
const showCredit = ({ book: { credit } }: Services) => ({
  usd: credit.granted === null ? null : dollars(credit.left),
  payment_method: credit.paymentMethod,
})

const showSecrets = ({ book: { identity } }: Services) => ({
  key: identity.webhookSecret,
  files_key: uploadSecret(identity.privateKey),
})

const seconds = z
  .number()
  .nonnegative()
  .max(86_400 * 366)
const clockSchema = z.strictObject({ advance_seconds: seconds })
const ageSchema = z.strictObject({ seconds })

/** Moves the simulator's time forward: what is due until then has happened when the response is sent. */
function advanceClock(services: Services): Handler {
  return withJson(async (body) => {
    const parsed = clockSchema.safeParse(body)
    if (!parsed.success) return unprocessable('Invalid clock', fieldsOf(parsed.error))
    await services.clock.advance(parsed.data.advance_seconds * 1000)
    const removed = removeExpired(services)
    return json(200, { now: new Date(services.clock.now()).toISOString(), removed })
  })
}

/** Ages everything that exists; changes no timestamps and ends no run. */
function ageEverything(services: Services): Handler {
  return withJson((body) => {
    const parsed = ageSchema.safeParse(body)
    if (!parsed.success) return unprocessable('Invalid age', fieldsOf(parsed.error))
    services.book.age(parsed.data.seconds * 1000)
    return json(200, { aged_seconds: parsed.data.seconds, removed: removeExpired(services) })
  })
}

function reset(services: Services): Handler {
  return () => {
    resetAll(services)
    return empty(204)
  }
}

export function resetAll(services: Services): void {
  const { book, faults, stubs, requests, lifeCycle, webhooks, files, blobs, budgets } = services
  lifeCycle.forget()
  webhooks.forget()
  faults.clear()
  stubs.clear()
  requests.clear()
  book.reset()
  files.forgetAll()
  blobs.clear()
  budgets.refill()
}
