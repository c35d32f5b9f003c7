import Replicate from 'replicate'
import { Agent, buildConnector, request as undiciRequest, type Dispatcher } from 'undici'
import { z } from 'zod'
import type { Seen } from '../conditions/watch-upstream.ts'
import { MAX_KEPT_BYTES, MODEL, OTHER, PAGE, PREDICTION, WITH_OUTPUT } from './rules/extract-rules.ts'
import { createJsonExtract, JsonExtractError, LongStringsFullError, type Rule } from '../values/json-extract.ts'
import { multipartOf } from './multipart.ts'
import {
  AccountRefusedError,
  type CreateRequest,
  type OutputTaker,
  type PredictionPort,
  type ReadOutcome,
} from './prediction-port.ts'
import {
  ACCOUNT_REFUSED,
  createOutcome,
  handOverOutcome,
  listOutcome,
  outputOutcome,
  modelOf,
  readOutcome,
  type Answer,
  type Outcome,
} from './rules/interpret-response.ts'
import { messageOf } from '../values/error-text.ts'

/**
 * Replicate over its official client, with the client's retries disabled. As shipped (1.4.0) the client sends a create up
 * to six times when the socket drops, and six times at once on a 429; each copy may be billed. So every call uses a new
 * client whose `fetch` remembers its first outcome and returns it for every retry: exactly one request is sent
 * (docs/adr/0001-one-request-per-create.md).
 */

/** Thrown while connecting, so the outcome is certain: nothing was sent. */
class NotConnectedError extends Error {
  override name = 'NotConnectedError'
}

/** A response broke off after its status. */
class AnswerBrokeError extends Error {
  override name = 'AnswerBrokeError'
}

/** Limit of an error response, which can be a proxy's HTML page. */
const ERROR_BYTES = 64 * 1024
/** Limit of the response to a create. It repeats the input, which has at most about a megabyte. */
const CREATED_BYTES = 64 * 1024 * 1024
/** Total limit of a read as a multiple of `readTimeout`, which limits its silence. */
const LONGEST_READ = 8

export interface ReplicateAdapterOptions {
  token: string
  /** Ends in `/v1`, as in the official client. */
  baseUrl: string
  /** ms */
  connectTimeout: number
  createTimeout: number
  readTimeout: number
  uploadTimeout: number
  /** Called with the outcome of every request. */
  onSeen?: (seen: Seen) => void
  copyTimeout: number
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
  // On a kept-alive connection a reset is indistinguishable from an accepted request, so a create only uses a connection
  // that was busy a moment ago: long before the server would close it as idle.
  const creates = agentWith(1_000)
  const reads = agentWith(4_000)

  interface SentOnce {
    method: string
    headers?: Record<string, string>
    data?: object
    agent: Agent
    limit: TimeLimit
    keep: Keep
  }

  /** Reports the outcome of a request to `onSeen`. */
  function seen(outcome: Outcome): Outcome {
    // An output above the limit is not a failure of upstream.
    if (outcome.kind === 'broken' && outcome.tooLarge) return outcome
    options.onSeen?.(
      outcome.kind === 'answer'
        ? {
            kind: 'answered',
            status: outcome.answer.status,
            date: Date.parse(outcome.answer.headers.get('date') ?? '') || null,
          }
        : { kind: 'unanswered', reason: outcome.reason },
    )
    return outcome
  }

  const request = async (path: string, init: SentOnce): Promise<Outcome> => seen(await requestOnce(path, init))

  async function requestOnce(path: string, init: SentOnce): Promise<Outcome> {
    // Not AbortSignal.timeout, which keeps a request in memory until its timeout, even after a quick response.
    const { signal, moved, clear } = init.limit
    let first: Promise<Answer> | undefined
    const once = async (url: string | URL | Request, fetchInit?: RequestInit): Promise<Response> => {
      first ??= send(url instanceof Request ? url.url : String(url), fetchInit ?? {}, init.agent, init.keep, moved)
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
        // The outcome of the one request decides, not the client's interpretation of it.
        if (!first) throw error
      })
      if (!first) return { kind: 'not_connected', reason: 'the client sent no request' }
      return { kind: 'answer', answer: await first }
    } catch (error) {
      if (!first) return { kind: 'not_connected', reason: messageOf(error) }
      return whatBroke(error)
    } finally {
      clear()
    }
  }

  const { readTimeout } = options
  const read = async (path: string, keep: Keep, method: 'GET' | 'POST' = 'GET'): Promise<Outcome> =>
    request(path, { method, limit: idleLimit(readTimeout, LONGEST_READ * readTimeout), agent: reads, keep })

  async function readPrediction(path: string, method: 'GET' | 'POST'): Promise<ReadOutcome> {
    return readOutcome(await read(path, { rule: PREDICTION }, method))
  }

  return {
    async create(create, beginBy = Number.POSITIVE_INFINITY) {
      const { path, headers, data } = createCall(create)
      // Last moment to notice that this process was suspended after it got the permit: other processes may have resolved the
      // attempt by now. From here on the request's timeout ends it, and the search for evidence waits for that.
      if (performance.now() > beginBy) return { kind: 'not_sent' }
      return createOutcome(
        await request(path, {
          method: 'POST',
          headers,
          data,
          // The search for evidence about an unknown outcome waits for exactly this time.
          limit: timeLimit(options.createTimeout),
          agent: creates,
          keep: { rule: PREDICTION, maxBytes: CREATED_BYTES },
        }),
      )
    },
    get: (id) => readPrediction(`/predictions/${encodeURIComponent(id)}`, 'GET'),
    cancel: (id) => readPrediction(`/predictions/${encodeURIComponent(id)}/cancel`, 'POST'),

    async output(id, taker, signal) {
      // A large output takes as long as copying a large file; a stalled read is aborted.
      const limit = idleLimit(readTimeout, options.copyTimeout, signal)
      const outcome = await request(`/predictions/${encodeURIComponent(id)}`, {
        method: 'GET',
        limit,
        agent: reads,
        keep: { rule: WITH_OUTPUT, taker },
      })
      signal.throwIfAborted()
      return outputOutcome(outcome)
    },

    async list({ after, before, cursor }) {
      const window = cursor
        ? { cursor }
        : { created_after: new Date(after).toISOString(), created_before: new Date(before).toISOString() }
      const path = `/predictions?${new URLSearchParams(window).toString()}`
      return listOutcome(await read(path, { rule: PAGE }), options.baseUrl)
    },

    async account() {
      const outcome = await read('/account', { rule: OTHER })
      if (outcome.kind !== 'answer') return 'away'
      const { status } = outcome.answer
      if (status === 200) return 'well'
      return ACCOUNT_REFUSED.has(status) ? 'refused' : 'away'
    },

    // Bypasses the client, which reads a whole file into memory, and into a data URI when that fails.
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
        const outcome = { kind: 'answer', answer: await answerOf(answer, { rule: OTHER }) } as const
        seen(outcome)
        return handOverOutcome(outcome.answer)
      } catch (error) {
        signal.throwIfAborted()
        const outcome = seen(whatBroke(error))
        return { kind: 'failed', reason: outcome.kind === 'answer' ? 'no response' : outcome.reason }
      }
    },

    async webhookSecret(timeout) {
      const outcome = await request('/webhooks/default/secret', {
        method: 'GET',
        limit: timeLimit(timeout),
        agent: reads,
        keep: { rule: OTHER },
      })
      if (outcome.kind !== 'answer') throw new Error(`the webhook secret cannot be fetched: ${outcome.reason}`)
      if (outcome.answer.status !== 200)
        throw new Error(`the webhook secret cannot be fetched: status ${outcome.answer.status}`)
      return z.object({ key: z.string().startsWith('whsec_') }).parse(JSON.parse(outcome.answer.body)).key
    },

    async model(name, version = null) {
      const path = version === null ? `/models/${name}` : `/models/${name}/versions/${version}`
      const outcome = await read(path, { rule: MODEL })
      if (outcome.kind !== 'answer') throw new Error(outcome.reason)
      const { status } = outcome.answer
      if (status === 404) return null
      if (ACCOUNT_REFUSED.has(status)) throw new AccountRefusedError(status)
      if (status !== 200) throw new Error(`status ${status}`)
      return modelOf(JSON.parse(outcome.answer.body), version === null ? null : name)
    },

    async deployment(name) {
      const outcome = await read(`/deployments/${name}`, { rule: OTHER })
      if (outcome.kind !== 'answer') throw new Error(outcome.reason)
      const { status } = outcome.answer
      if (status === 404) return false
      if (ACCOUNT_REFUSED.has(status)) throw new AccountRefusedError(status)
      if (status !== 200) throw new Error(`status ${status}`)
      return true
    },

    async close() {
      await Promise.all([creates.close(), reads.close()])
    },
  }
}

/** Extraction of a response; `taker` receives its long strings; `maxBytes` limits the bytes that are read. */
interface Keep {
  rule: Rule
  maxBytes?: number
  taker?: OutputTaker
}

interface TimeLimit {
  signal: AbortSignal
  /** Restarts the idle limit, because data arrived. */
  moved(): void
  clear(): void
}

function timeLimit(ms: number): TimeLimit {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(tooLate()), ms)
  return { signal: controller.signal, moved: () => undefined, clear: () => clearTimeout(timer) }
}

const tooLate = (): DOMException => new DOMException('No response in time.', 'TimeoutError')

/** Aborts after `idleMs` without data, and after `ms` in total, so that a large response is not refused for its size. */
function idleLimit(idleMs: number, ms: number, outer?: AbortSignal): TimeLimit {
  const controller = new AbortController()
  const abort = (): void => controller.abort(tooLate())
  const idle = setTimeout(abort, idleMs)
  const last = setTimeout(abort, ms)
  return {
    signal: outer ? AbortSignal.any([controller.signal, outer]) : controller.signal,
    moved: () => void idle.refresh(),
    clear() {
      clearTimeout(idle)
      clearTimeout(last)
    },
  }
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

/** undici's `request`, which avoids the web streams and other objects that `fetch` creates for each call. */
async function send(url: string, init: RequestInit, dispatcher: Agent, keep: Keep, moved: () => void): Promise<Answer> {
  const { method = 'GET', headers, body, signal } = init
  return answerOf(
    await undiciRequest(url, {
      method: method === 'POST' ? 'POST' : 'GET',
      headers: Object.fromEntries(new Headers(headers)),
      body: typeof body === 'string' ? body : null,
      signal: signal ?? null,
      dispatcher,
    }),
    keep,
    moved,
  )
}

async function answerOf(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  keep: Keep,
  moved: () => void = () => undefined,
): Promise<Answer> {
  const get = (name: string): string | null => [headers[name]].flat()[0] ?? null
  const isGood = statusCode >= 200 && statusCode < 300
  const text = await (isGood ? extractOf(body, keep, moved) : beginningOf(body)).catch((error: unknown) => {
    throw new AnswerBrokeError('the response broke off', { cause: error })
  })
  return { status: statusCode, headers: { get }, body: text }
}

async function extractOf(
  body: AsyncIterable<Uint8Array>,
  { rule, taker, maxBytes = Infinity }: Keep,
  moved: () => void,
): Promise<string> {
  let bytes = 0
  const extract = createJsonExtract(rule, MAX_KEPT_BYTES, taker)
  try {
    for await (const chunk of body) {
      moved()
      bytes += chunk.byteLength
      if (bytes > maxBytes) throw new Error(`a response of more than ${maxBytes} bytes`)
      extract.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      await taker?.flush()
    }
    return extract.end()
  } catch (error) {
    // An unreadable response is still a response; the caller decides what it means.
    if (error instanceof JsonExtractError || error instanceof SyntaxError) return ''
    throw error
  }
}

async function beginningOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.byteLength
    if (size >= ERROR_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, ERROR_BYTES).toString('utf8')
}

function whatBroke(error: unknown): Outcome {
  const chain: Error[] = []
  for (let at = error; at instanceof Error && chain.length < 8; at = at.cause) chain.push(at)
  const full = chain.find((link) => link instanceof LongStringsFullError)
  if (full) return { kind: 'broken', reason: full.message, tooLarge: true }
  const unconnected = chain.find((link) => link instanceof NotConnectedError)
  const last = chain.at(-1)
  const code = last && 'code' in last && typeof last.code === 'string' ? last.code : last?.name
  if (unconnected) return { kind: 'not_connected', reason: `${code ?? 'error'}: ${unconnected.message}` }
  const hadBegun = chain.some((link) => link instanceof AnswerBrokeError)
  return { kind: 'broken', reason: code ?? 'error', ...(hadBegun ? { hadBegun } : {}) }
}
