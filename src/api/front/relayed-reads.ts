import { ServiceError } from '../../shared/errors/service-error.ts'
import { json } from '../../shared/jobs/rules/job.ts'
import type { Budget } from '../../shared/limits/rules/budget.ts'
import type { RelayPort, RelayRequest, RelayResponse } from '../../shared/replicate/relay-port.ts'
import { createUpstreamCache } from '../../shared/replicate/upstream-cache.ts'
import { isObject, type Json, type JsonObject } from '../../shared/values/json.ts'

/** What Replicate responded to a read, as it may be passed on. */
export interface Relayed {
  mediaType: string
  /** The whole response: for operators. */
  all: string
  /** Without private models; null: it is about a private model. */
  open: string | null
}

export interface RelayedReadsOptions {
  relay: Pick<RelayPort, 'read'>
  /** The least urgent reads. */
  reads: Budget
}

/** Characters of all responses that are kept. */
const MAX_KEPT = 16 * 1024 * 1024
const BUDGET_WAIT_MS = 1_000
const RETRY_S = 2

/** Reads of models and collections at Replicate with the token of the service, cached. */
export function createRelayedReads({ relay, reads }: RelayedReadsOptions) {
  const cache = createUpstreamCache<Relayed>({
    most: MAX_KEPT,
    of: ({ all, open }) => all.length + (open === all ? 0 : (open?.length ?? 0)),
  })

  async function fetch(request: RelayRequest): Promise<Relayed | null> {
    await reads.take(AbortSignal.timeout(BUDGET_WAIT_MS)).catch((error: unknown) => {
      throw new ServiceError('rate_limited', 'The service has no reads left for this at Replicate.', {
        retryAfter: RETRY_S,
        cause: error,
      })
    })
    const response = await relay.read(request).catch((error: unknown) => {
      throw unavailable(error)
    })
    return passedOn(response)
  }

  return {
    /**
     * null: there is no such thing. Throws `invalid_request` with what Replicate says of the request, and `rate_limited` or
     * `upstream_unavailable` when nothing is cached.
     */
    read: (request: RelayRequest): Promise<Relayed | null> =>
      cache.read(`${request.method} ${request.path} ${request.body ?? ''}`, () => fetch(request)),
  }
}

const unavailable = (cause: unknown): ServiceError =>
  new ServiceError('upstream_unavailable', 'Could not read this from Replicate. Try again later.', {
    retryAfter: 5,
    cause,
  })

/** Throws what the client of the service gets where Replicate responds with an error. */
function passedOn({ status, mediaType, text, retryAfterMs }: RelayResponse): Relayed | null {
  if (status === 404) return null
  if (status === 400 || status === 422) throw new ServiceError('invalid_request', detailOf(text))
  if (status === 429)
    throw new ServiceError('rate_limited', 'Replicate limits the reads of the service.', {
      retryAfter: Math.ceil((retryAfterMs ?? RETRY_S * 1000) / 1000),
    })
  if (status !== 200) throw unavailable(new Error(`status ${status}`))
  return { mediaType, all: text, open: mediaType.endsWith('json') ? openPart(text, parsed(text)) : text }
}

/** The `detail` of an error of Replicate's. */
function detailOf(text: string): string {
  try {
    const body: unknown = JSON.parse(text)
    if (isObject(body) && typeof body.detail === 'string') return body.detail
  } catch {
    // Some errors are pages.
  }
  return 'Replicate refuses the request.'
}

function parsed(text: string): Json {
  try {
    return json.parse(JSON.parse(text))
  } catch (error) {
    throw unavailable(error)
  }
}

const isPrivate = (value: Json): boolean =>
  isObject(value) && (value.visibility === 'private' || (isObject(value.model) && value.model.visibility === 'private'))

/** Lists of a response that can contain models. */
const LISTS = ['results', 'models'] as const

/** The text of a response without private models; null: it is about one. */
function openPart(text: string, value: Json): string | null {
  if (isPrivate(value)) return null
  const open = isObject(value) ? withoutPrivate(value) : value
  return open === value ? text : JSON.stringify(open)
}

/** The same object where it contains none. */
function withoutPrivate(value: JsonObject): JsonObject {
  let open = value
  for (const name of LISTS) {
    const list = value[name]
    if (!Array.isArray(list)) continue
    const left = list.filter((item) => !isPrivate(item)).map((item) => (isObject(item) ? withoutPrivate(item) : item))
    if (left.length < list.length || left.some((item, i) => item !== list[i])) open = { ...open, [name]: left }
  }
  return open
}
