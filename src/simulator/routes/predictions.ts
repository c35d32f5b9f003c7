import { alreadyOver, invalidInput, notFound } from '../http/problem.ts'
import { json, type Reply } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import type { Prediction } from '../prediction.ts'
import type { Services } from './services.ts'
import { showPrediction } from './show-prediction.ts'

export function getPrediction(services: Services): Handler {
  return async ({ params, origin }) => {
    const prediction = services.book.find(params['id'] ?? '')
    if (prediction === undefined) return notFound('Prediction')
    return json(200, await showPrediction(services, prediction, origin))
  }
}

/** Cancelling a finished prediction changes nothing. The real response is not confirmed, so a habit sets it. */
export function cancelPrediction(services: Services): Handler {
  return async ({ params, origin }) => {
    const prediction = services.book.find(params['id'] ?? '')
    if (prediction === undefined) return notFound('Prediction')
    const code = services.habits.current.cancel_finished_code
    if (prediction.end !== null && code !== 200) return code === 404 ? notFound('Prediction') : alreadyOver(code)
    services.lifeCycle.cancel(prediction)
    return json(200, await showPrediction(services, prediction, origin))
  }
}

const PAGE = 100

/** The query of a page, kept in the cursor, so `next` needs no other parameter. */
interface Window {
  after: number
  before: number
  /** The last row of the previous page. */
  from: string | null
}

/** Newest first, 100 a page. */
export function listPredictions(services: Services): Handler {
  return async ({ query, origin }) => {
    const window = windowOf(query)
    if ('kind' in window) return window
    if (services.faults.strike('list', 'empty')) return json(200, { next: null, previous: null, results: [] })
    const page = rowsOf(services.book.newestFirst(), window)
    const last = page[PAGE - 1]
    const next = page.length > PAGE && last !== undefined ? encode({ ...window, from: last.id }) : null
    return json(200, {
      next: next === null ? null : `${origin}/v1/predictions?cursor=${next}`,
      previous: null,
      results: await Promise.all(page.slice(0, PAGE).map((one) => showPrediction(services, one, origin))),
    })
  }
}

/** A page and, when there is more, one row of the next. */
function rowsOf(predictions: Iterable<Prediction>, { after, before, from }: Window): Prediction[] {
  const rows: Prediction[] = []
  let reached = from === null
  for (const prediction of predictions) {
    if (prediction.createdAt < after || rows.length > PAGE) break
    if (reached && prediction.createdAt < before) rows.push(prediction)
    reached ||= prediction.id === from
  }
  return rows
}

function windowOf(query: URLSearchParams): Window | Reply {
  const cursor = query.get('cursor')
  if (cursor !== null) return decode(cursor) ?? wrongParameter('cursor', 'Invalid cursor')
  const source = query.get('source')
  if (source !== null && source !== 'web') return wrongParameter('source', 'source must be one of the following: "web"')
  const after = timeOf(query, 'created_after', -Infinity)
  const before = timeOf(query, 'created_before', Infinity)
  if (Number.isNaN(after)) return wrongParameter('created_after', "Does not match format 'date-time'")
  if (Number.isNaN(before)) return wrongParameter('created_before', "Does not match format 'date-time'")
  // No prediction here is created on a website.
  return { after: source === 'web' ? Infinity : after, before, from: null }
}

const wrongParameter = (field: string, description: string) => invalidInput([{ type: 'format', field, description }])

function timeOf(query: URLSearchParams, name: string, otherwise: number): number {
  const value = query.get(name)
  if (value === null) return otherwise
  // An unescaped plus sign arrives as a space.
  return Date.parse(value.replace(' ', '+'))
}

const encode = ({ after, before, from }: Window) =>
  Buffer.from(
    JSON.stringify([Number.isFinite(after) ? after : null, Number.isFinite(before) ? before : null, from]),
  ).toString('base64url')

function decode(cursor: string): Window | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (!Array.isArray(parts)) return null
    const [after, before, from]: unknown[] = parts
    if (typeof from !== 'string') return null
    return {
      after: typeof after === 'number' ? after : -Infinity,
      before: typeof before === 'number' ? before : Infinity,
      from,
    }
  } catch {
    return null
  }
}
