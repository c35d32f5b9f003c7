import type { ApiResponse, EventSource } from './http.ts'
import { isObject } from '../shared/values/json.ts'

/** The same object for the same data, because streams keep the text of what they send by it. */
const hidden = new WeakMap<object, object>()

/** A job or batch, or a page of them, without the address of its webhook. Fields inside of inputs and metadata stay. */
function hide(value: object): object {
  const known = hidden.get(value)
  if (known) return known
  const shown = {
    ...value,
    ...('webhook' in value ? { webhook: null } : {}),
    ...('data' in value && Array.isArray(value.data) ? { data: value.data.map(hideIn) } : {}),
  }
  hidden.set(value, shown)
  return shown
}
const hideIn = (value: unknown): unknown => (isObject(value) ? hide(value) : value)

const hideInEvents =
  (source: EventSource): EventSource =>
  (send, end) =>
    source((event) => send(typeof event.data === 'string' ? event : { ...event, data: hide(event.data) }), end)

/**
 * An answer for the holder of a job token, who may be any visitor of a page: addresses of webhooks often contain a secret of
 * the product's back end.
 */
export function withoutWebhooks(answer: ApiResponse): ApiResponse {
  if ('events' in answer) return { events: hideInEvents(answer.events) }
  return 'body' in answer ? { ...answer, body: hideIn(answer.body) } : answer
}
