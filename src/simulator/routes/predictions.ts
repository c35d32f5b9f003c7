import { ownerOf } from '../accounts.ts'
import { alreadyOver, notFound } from '../http/problem.ts'
import { json, type Reply } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'
import type { Prediction } from '../prediction.ts'
import { pageOf, wrongParameter } from './pages.ts'
import type { Services } from './services.ts'
import { showPrediction } from './show-prediction.ts'

export function getPrediction(services: Services): Handler {
  return async (request) => {
    const prediction = predictionOf(services, request)
    if (prediction === undefined) return notFound()
    return json(200, await showPrediction(services, prediction, request.origin))
  }
}

/** The account's prediction in the path. */
function predictionOf({ book }: Services, { params, account }: SimulatorRequest): Prediction | undefined {
  const prediction = book.find(params['id'] ?? '')
  return prediction?.training === undefined && prediction !== undefined && ownerOf(prediction) === account
    ? prediction
    : undefined
}

/** Cancelling a finished prediction changes nothing. The real response is not confirmed, so a habit sets it. */
export function cancelPrediction(services: Services): Handler {
  return async (request) => {
    const prediction = predictionOf(services, request)
    if (prediction === undefined) return notFound()
    const code = services.habits.current.cancel_finished_code
    if (prediction.end !== null && code !== 200) return code === 404 ? notFound() : alreadyOver(code)
    services.lifeCycle.cancel(prediction)
    return json(200, await showPrediction(services, prediction, request.origin))
  }
}

/** Newest first. */
export function listPredictions(services: Services): Handler {
  return (request) => {
    if (services.faults.strike('list', 'empty')) return json(200, { next: null, previous: null, results: [] })
    return pageOf({
      request,
      rows: (query) => selected(services, request.account, query),
      idOf: ({ id }) => id,
      show: (one) => showPrediction(services, one, request.origin),
    })
  }
}

function selected({ book }: Services, account: string, query: URLSearchParams): Prediction[] | Reply {
  const source = query.get('source')
  if (source !== null && source !== 'web') return wrongParameter('source', 'source must be one of the following: "web"')
  const after = timeOf(query, 'created_after', -Infinity)
  const before = timeOf(query, 'created_before', Infinity)
  if (Number.isNaN(after)) return wrongParameter('created_after', "Does not match format 'date-time'")
  if (Number.isNaN(before)) return wrongParameter('created_before', "Does not match format 'date-time'")
  // No prediction here is created on a website.
  if (source === 'web') return []
  return [...book.newestFirst()].filter(
    (one) => one.training === undefined && ownerOf(one) === account && one.createdAt >= after && one.createdAt < before,
  )
}

function timeOf(query: URLSearchParams, name: string, otherwise: number): number {
  const value = query.get(name)
  if (value === null) return otherwise
  // An unescaped plus sign arrives as a space.
  return Date.parse(value.replace(' ', '+'))
}
