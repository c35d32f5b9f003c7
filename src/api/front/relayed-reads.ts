import { ServiceError } from '../../shared/errors/service-error.ts'
import { json } from '../../shared/jobs/rules/job.ts'
import type { Budget } from '../../shared/limits/rules/budget.ts'
import type { Logger } from '../../shared/process/logger.ts'
import type { RelayPort, RelayRequest, RelayResponse } from '../../shared/replicate/relay-port.ts'
import { isObject, type Json, type JsonObject } from '../../shared/values/json.ts'

/** What Replicate responded to a read, as it may be passed on. */
export interface Relayed {
  status: number
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
  log: Logger
}

const FRESH_MS = 10 * 60_000
/** Of something that does not exist: it can appear at any moment. */
const ABSENT_MS = 15_000
/** Bytes of all responses that are kept. */
const MAX_KEPT = 32 * 1024 * 1024
const BUDGET_WAIT_MS = 1_000
const RETRY_S = 2

interface Entry {
  relayed: Relayed
  /** End of its freshness, `performance.now()`. */
  until: number
  bytes: number
}

/** Reads of models and collections at Replicate with the token of the service, cached for ten minutes. */
export function createRelayedReads({ relay, reads, log }: RelayedReadsOptions) {
  const entries = new Map<string, Entry>()
  const pending = new Map<string, Promise<Relayed>>()
  let kept = 0

  function drop(key: string): void {
    kept -= entries.get(key)?.bytes ?? 0
    entries.delete(key)
  }

  function keep(key: string, relayed: Relayed): void {
    drop(key)
    const bytes =
      2 * (relayed.all.length + (relayed.open === relayed.all ? 0 : (relayed.open?.length ?? 0)) + key.length)
    entries.set(key, { relayed, bytes, until: performance.now() + (relayed.status === 404 ? ABSENT_MS : FRESH_MS) })
    kept += bytes
    for (const oldest of entries.keys()) {
      if (kept <= MAX_KEPT) return
      drop(oldest)
    }
  }

  async function fetch(request: RelayRequest): Promise<Relayed> {
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

  async function refresh(key: string, request: RelayRequest): Promise<Relayed> {
    const relayed = await fetch(request)
    if (relayed.status === 200 || relayed.status === 404) keep(key, relayed)
    return relayed
  }

  return {
    /** Throws `rate_limited`, or `upstream_unavailable`, when nothing is kept either. */
    async read(request: RelayRequest): Promise<Relayed> {
      const key = `${request.method} ${request.path} ${request.body ?? ''}`
      const entry = entries.get(key)
      if (entry && entry.until > performance.now()) return entry.relayed
      const reading = pending.get(key) ?? refresh(key, request).finally(() => pending.delete(key))
      pending.set(key, reading)
      try {
        return await reading
      } catch (error) {
        if (entry === undefined) throw error
        log.debug({ err: error, path: request.path }, 'Replicate could not be read; an older response is passed on')
        return entry.relayed
      }
    },
  }
}

const unavailable = (cause: unknown): ServiceError =>
  new ServiceError('upstream_unavailable', 'Could not read this from Replicate. Try again later.', {
    retryAfter: 5,
    cause,
  })

/** Throws what the client of the service gets where Replicate's error concerns the service itself. */
function passedOn({ status, mediaType, text, retryAfterMs }: RelayResponse): Relayed {
  if (status === 429)
    throw new ServiceError('rate_limited', 'Replicate limits the reads of the service.', {
      retryAfter: Math.ceil((retryAfterMs ?? RETRY_S * 1000) / 1000),
    })
  const isOfClient = status === 400 || status === 404 || status === 422
  if (status !== 200 && !isOfClient) throw unavailable(new Error(`status ${status}`))
  const value = mediaType.endsWith('json') ? parsed(text) : undefined
  if (isOfClient) return { status, mediaType, all: text, open: text }
  return { status, mediaType, all: text, open: value === undefined ? text : openPart(text, value) }
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
