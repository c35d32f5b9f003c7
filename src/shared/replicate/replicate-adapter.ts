import Replicate from 'replicate'
import { Agent, buildConnector, request as undiciRequest, type Dispatcher } from 'undici'
import { z } from 'zod'
import type { JsonObject } from '../jobs/job.ts'
import { isTooDeep } from '../json-depth.ts'
import { predictionSchema } from './prediction.ts'
import { multipartOf } from './multipart.ts'
import type { CreateOutcome, CreateRequest, HandOverOutcome, PredictionPort, ReadOutcome } from './prediction-port.ts'
import { retryHintMs } from './retry-hint.ts'

/**
 * Replicate over its official client, disarmed. As shipped (1.4.0) the client sends a create up to six times when the
 * socket drops, and six times at once on a 429; each copy may be billed. So every call gets a client of its own whose
 * `fetch` remembers its first outcome and gives it to every further try: one request leaves, whatever the client does
 * (docs/adr/0001-one-request-per-create.md).
 */

interface Answer {
  status: number
  headers: { get(name: string): string | null }
  body: string
}
/** What became of one request. `not_connected`: no byte of it was sent. */
type Outcome =
  | { kind: 'answer'; answer: Answer }
  | { kind: 'not_connected'; reason: string }
  | { kind: 'broken'; reason: string }

/** Raised while connecting, so that the outcome is certain: nothing was sent. */
class NotConnectedError extends Error {
  override name = 'NotConnectedError'
}

/** Predictions carry logs and inputs, but not without end. */
const MAX_BODY = 16 * 1024 * 1024

export interface ReplicateAdapterOptions {
  token: string
  /** Ends in `/v1`, as in the official client. */
  baseUrl: string
  /** ms */
  connectTimeout: number
  createTimeout: number
  readTimeout: number
  uploadTimeout: number
}

export function createReplicateAdapter(options: ReplicateAdapterOptions): PredictionPort & { close(): Promise<void> } {
  const agentWith = (keepAliveTimeout: number): Agent => {
    const connect = buildConnector({ timeout: options.connectTimeout })
    return new Agent({
      keepAliveTimeout,
      keepAliveMaxTimeout: keepAliveTimeout,
      connect: (target, callback) => {
        connect(target, (...result) => {
          const [error, socket] = result
          if (error) callback(new NotConnectedError(error.message, { cause: error }), null)
          else if (socket) callback(null, socket)
        })
      },
    })
  }
  // On a kept connection a reset cannot be told from a request that was taken, so a create only uses one that was busy
  // a moment ago: long before the other side would close it for being idle.
  const creates = agentWith(1_000)
  const reads = agentWith(4_000)

  async function request(
    path: string,
    init: { method: string; headers?: Record<string, string>; data?: object; timeout: number; agent: Agent },
  ): Promise<Outcome> {
    // Not AbortSignal.timeout: that one keeps a request alive for all of its time, however quick the answer was.
    const { signal, clear } = timeLimit(init.timeout)
    let first: Promise<Answer> | undefined
    const once = async (url: string | URL | Request, fetchInit?: RequestInit): Promise<Response> => {
      first ??= send(url instanceof Request ? url.url : String(url), fetchInit ?? {}, init.agent)
      const { status, headers, body } = await first
      const visible = new Response(status === 204 || status === 304 ? null : body, {
        status: status < 200 ? 500 : status,
      })
      const type = headers.get('content-type')
      if (type) visible.headers.set('content-type', type)
      return visible
    }
    const client = new Replicate({ auth: options.token, baseUrl: options.baseUrl, fetch: once, useFileOutput: false })
    const { method, headers = {}, data } = init
    try {
      await client.request(path, { method, headers, signal, ...(data ? { data } : {}) }).catch((error: unknown) => {
        // What became of the one request decides, not what the client makes of it.
        if (!first) throw error
      })
      if (!first) return { kind: 'not_connected', reason: 'the client sent no request' }
      return { kind: 'answer', answer: await first }
    } catch (error) {
      if (!first) return { kind: 'not_connected', reason: error instanceof Error ? error.message : String(error) }
      return whatBroke(error)
    } finally {
      clear()
    }
  }

  const read = async (path: string, method: 'GET' | 'POST', timeout = options.readTimeout): Promise<Outcome> =>
    request(path, { method, timeout, agent: reads })

  async function readPrediction(path: string, method: 'GET' | 'POST'): Promise<ReadOutcome> {
    const outcome = await read(path, method)
    if (outcome.kind !== 'answer') return { kind: 'failed', reason: outcome.reason }
    const { status, headers, body } = outcome.answer
    if (status === 404) return { kind: 'not_found' }
    if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
    if (status < 200 || status > 299) return { kind: 'failed', reason: `status ${status}` }
    const prediction = parsePrediction(body)
    return prediction
      ? { kind: 'prediction', prediction }
      : { kind: 'failed', reason: 'an answer that is no prediction' }
  }

  return {
    async create(create, beginBy = Number.POSITIVE_INFINITY) {
      const { path, headers, data } = createCall(create)
      // The last moment to notice that this process stood still since it was given the permit: others may have judged the
      // attempt by now. From here on the request's own time ends it, and evidence waits for that.
      if (performance.now() > beginBy) return { kind: 'not_sent' }
      return createOutcome(
        await request(path, { method: 'POST', headers, data, timeout: options.createTimeout, agent: creates }),
      )
    },
    get: (id) => readPrediction(`/predictions/${encodeURIComponent(id)}`, 'GET'),
    cancel: (id) => readPrediction(`/predictions/${encodeURIComponent(id)}/cancel`, 'POST'),

    async list({ after, before, cursor }) {
      const window = cursor
        ? { cursor }
        : { created_after: new Date(after).toISOString(), created_before: new Date(before).toISOString() }
      const outcome = await read(`/predictions?${new URLSearchParams(window).toString()}`, 'GET')
      if (outcome.kind !== 'answer') return { kind: 'failed', reason: outcome.reason }
      const { status, headers, body } = outcome.answer
      if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
      if (status !== 200) return { kind: 'failed', reason: `status ${status}` }
      const page = pageSchema.safeParse(parseJson(body)).data
      if (!page) return { kind: 'failed', reason: 'an answer that is no page of predictions' }
      const next = page.next ? new URL(page.next, options.baseUrl).searchParams.get('cursor') : null
      if (page.next && next === null) return { kind: 'failed', reason: 'a next page without a cursor' }
      return { kind: 'page', predictions: page.results, cursor: next }
    },

    async account() {
      const outcome = await read('/account', 'GET')
      if (outcome.kind !== 'answer') return 'away'
      const { status } = outcome.answer
      if (status === 200) return 'well'
      return status === 401 || status === 402 || status === 403 ? 'refused' : 'away'
    },

    // The client reads a whole file into memory, and into a data URI when that fails, so it is left out here.
    async uploadFile(file, signal) {
      const { headers, body } = multipartOf(file)
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.uploadTimeout)])
      try {
        const answer = await undiciRequest(`${options.baseUrl}/files`, {
          method: 'POST',
          headers: { ...headers, authorization: `Bearer ${options.token}` },
          body,
          signal: deadline,
          dispatcher: reads,
        })
        const { status, headers: received, body: text } = await answerOf(answer)
        return handOverOutcome(status, received, text)
      } catch (error) {
        signal.throwIfAborted()
        const outcome = whatBroke(error)
        return { kind: 'failed', reason: outcome.kind === 'answer' ? 'no answer' : outcome.reason }
      }
    },

    async webhookSecret(timeout) {
      const outcome = await read('/webhooks/default/secret', 'GET', timeout)
      if (outcome.kind !== 'answer') throw new Error(`the webhook secret cannot be fetched: ${outcome.reason}`)
      if (outcome.answer.status !== 200)
        throw new Error(`the webhook secret cannot be fetched: status ${outcome.answer.status}`)
      return z.object({ key: z.string().startsWith('whsec_') }).parse(JSON.parse(outcome.answer.body)).key
    },

    async model(name, version = null) {
      const outcome = await read(version === null ? `/models/${name}` : `/models/${name}/versions/${version}`, 'GET')
      if (outcome.kind !== 'answer') throw new Error(outcome.reason)
      if (outcome.answer.status === 404) return null
      if (outcome.answer.status !== 200) throw new Error(`status ${outcome.answer.status}`)
      const body: unknown = JSON.parse(outcome.answer.body)
      if (isTooDeep(body)) throw new Error('a model whose schema is nested too deeply')
      if (version === null) return toModel(modelSchema.parse(body))
      const [owner = '', model = ''] = name.split('/')
      return toModel({ owner, name: model, latest_version: versionSchema.parse(body) })
    },

    async close() {
      await Promise.all([creates.close(), reads.close()])
    },
  }
}

function timeLimit(ms: number): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(new DOMException('No answer in time.', 'TimeoutError')), ms)
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}

function createCall({ model, version, deployment, input, webhook, events, cancelAfter }: CreateRequest) {
  const path = model
    ? `/models/${model}/predictions`
    : deployment
      ? `/deployments/${deployment}/predictions`
      : '/predictions'
  const data = { ...(version ? { version } : {}), input, webhook, webhook_events_filter: events }
  return { path, headers: { 'Cancel-After': `${cancelAfter}s` }, data }
}

/** undici's own request: what `fetch` would make beside it for each call, streams above all, is never looked at. */
async function send(url: string, init: RequestInit, dispatcher: Agent): Promise<Answer> {
  const { method = 'GET', headers, body, signal } = init
  return answerOf(
    await undiciRequest(url, {
      method: method === 'POST' ? 'POST' : 'GET',
      headers: Object.fromEntries(new Headers(headers)),
      body: typeof body === 'string' ? body : null,
      signal: signal ?? null,
      dispatcher,
    }),
  )
}

async function answerOf({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  const get = (name: string): string | null => [headers[name]].flat()[0] ?? null
  return { status: statusCode, headers: { get }, body: await textOf(body) }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > MAX_BODY) throw new Error(`an answer of more than ${MAX_BODY} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const fileSchema = z.object({
  urls: z.object({ get: z.url({ protocol: /^https?$/ }) }),
  expires_at: z.string().nullish(),
})

function handOverOutcome(status: number, headers: Answer['headers'], body: string): HandOverOutcome {
  if (status >= 200 && status < 300) {
    const file = fileSchema.safeParse(parseJson(body)).data
    if (!file) return { kind: 'failed', reason: `status ${status} without a file` }
    const expires = Date.parse(file.expires_at ?? '')
    return { kind: 'taken', url: file.urls.get, expiresAt: Number.isNaN(expires) ? null : expires }
  }
  if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryHintMs(headers, body, Date.now()) }
  const message = problemDetail(body)
  if (status === 413 || (REFUSED.has(status) && message !== null))
    return { kind: 'refused', status, message: message ?? 'Replicate takes no file of this size.' }
  return { kind: 'failed', reason: `status ${status}` }
}

function whatBroke(error: unknown): Outcome {
  const chain: Error[] = []
  for (let at = error; at instanceof Error && chain.length < 8; at = at.cause) chain.push(at)
  const unconnected = chain.find((link) => link instanceof NotConnectedError)
  const last = chain.at(-1)
  const code = last && 'code' in last && typeof last.code === 'string' ? last.code : last?.name
  if (unconnected) return { kind: 'not_connected', reason: `${code ?? 'error'}: ${unconnected.message}` }
  return { kind: 'broken', reason: code ?? 'error' }
}

/** Statuses that say, with a problem body, that nothing was created (facts: Replicate's recorded answers). */
const REFUSED = new Set([400, 401, 402, 403, 404, 413, 422])

function createOutcome(outcome: Outcome): CreateOutcome {
  if (outcome.kind === 'not_connected')
    return { kind: 'not_created', refusal: { class: 'unreachable', message: outcome.reason } }
  if (outcome.kind === 'broken') return { kind: 'unknown', reason: outcome.reason }
  const { status, headers, body } = outcome.answer
  if (status >= 200 && status < 300) {
    const prediction = parsePrediction(body)
    return prediction
      ? { kind: 'created', prediction }
      : { kind: 'unknown', reason: `status ${status} without a prediction` }
  }
  if (status === 429)
    return {
      kind: 'not_created',
      refusal: {
        class: 'rate_limited',
        message: problemDetail(body) ?? 'Replicate limits the rate of requests.',
        retryAfterMs: retryHintMs(headers, body, Date.now()),
      },
    }
  const message = problemDetail(body)
  if (!REFUSED.has(status) || message === null) return { kind: 'unknown', reason: `status ${status}` }
  return {
    kind: 'not_created',
    refusal: { class: status === 401 || status === 402 ? 'account' : 'rejected', status, message },
  }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const parsePrediction = (body: string) => predictionSchema.safeParse(parseJson(body)).data ?? null

const pageSchema = z.object({ next: z.string().nullish(), results: z.array(predictionSchema) })

const problemSchema = z.object({ title: z.string().nullish(), detail: z.string().nullish() })

/** Upstream's own words, or null when the body is no problem document. */
function problemDetail(body: string): string | null {
  const problem = problemSchema.safeParse(parseJson(body)).data
  const words = problem?.detail ?? problem?.title ?? null
  return words === null ? null : words.trim().slice(0, 2000)
}

const versionSchema = z.object({
  id: z.string(),
  openapi_schema: z.object({ components: z.object({ schemas: z.record(z.string(), z.custom<JsonObject>()) }) }),
})

const modelSchema = z.object({
  owner: z.string(),
  name: z.string(),
  description: z.string().nullish(),
  is_official: z.boolean().nullish(),
  latest_version: versionSchema.nullish(),
})

function toModel({ owner, name, description, is_official, latest_version }: z.output<typeof modelSchema>) {
  const schemas = latest_version?.openapi_schema.components.schemas ?? {}
  return {
    name: `${owner}/${name}`,
    description: description ?? null,
    official: is_official ?? false,
    version: latest_version?.id ?? null,
    input_schema: schemas.Input ?? { type: 'object', properties: {} },
    schemas,
  }
}
