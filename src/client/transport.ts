import { ApiError, NetworkError, problemOf } from './errors.ts'
import { linkSignal, pause, type LinkedSignal } from './signals.ts'

export interface ClientOptions {
  /**
   * Address of the service, or of a proxy before it: `https://queue.example.com`, `/api/genqueue`. `''` in a browser is the
   * page's own origin, with its session cookie.
   */
  baseUrl: string
  /** API key, or a token for one job or batch. */
  key?: string | undefined
  fetch?: typeof fetch | undefined
  /** Limit of attempts for a request that can be repeated; 1: no retry. Default 4. */
  attempts?: number | undefined
  /** Timeout of one attempt, ms; 30,000 by default. Streams, long waits, uploads and downloads have their own. */
  timeout?: number | undefined
}

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: string | Blob
  signal?: AbortSignal | undefined
  /** Overrides the transport's. */
  attempts?: number
  timeout?: number
  /** A change without a key whose repetition does no harm. */
  repeatable?: boolean
}

/** A file takes longer than other requests, ms. */
export const TRANSFER_MS = 300_000

/** Statuses of a proxy, a full queue or a restart, which a retry can resolve. */
const WORTH_REPEATING = new Set([429, 502, 503, 504])
const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 8_000
/** A longer Retry-After is left to the caller. */
const LONGEST_RETRY_AFTER_S = 60

/** Sends requests to one service, with credentials, timeouts and retries. */
export function createTransport(options: ClientOptions) {
  const base = options.baseUrl.replace(/\/+$/, '')
  // Looked up at each call, so that a page may replace the global one.
  const doFetch: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init))

  /** The address of a path, or of a link of the service. */
  const addressOf = (link: string): string => (link.startsWith('/') && !isOurs(link) ? base + link : link)
  /** Whether an address leads to the service, so that credentials may be sent. */
  const isOurs = (address: string): boolean =>
    base === '' ? /^\/(?!\/)/.test(address) : address.startsWith(`${base}/`)

  /** One request. Rejects with a NetworkError, or with the reason of `signal` when that was aborted. */
  async function send(path: string, call: Call = {}): Promise<Response> {
    const { method = 'GET', headers = {}, body, signal } = call
    const address = addressOf(path)
    try {
      return await doFetch(address, {
        method,
        headers: options.key && isOurs(address) ? { authorization: `Bearer ${options.key}`, ...headers } : headers,
        ...(body === undefined ? {} : { body }),
        ...(signal ? { signal } : {}),
      })
    } catch (cause) {
      if (signal?.aborted) throw signal.reason
      throw new NetworkError(cause, base)
    }
  }

  async function once<T>(path: string, call: Call, read: Reader<T>): Promise<T> {
    const limit = linkSignal(call.signal, call.timeout ?? options.timeout ?? 30_000)
    let kept = false
    try {
      const response = await send(path, { ...call, signal: limit.signal })
      if (!response.ok) throw await problemOf(response)
      return await read(response, () => {
        kept = true
        return limit
      })
    } catch (cause) {
      if (call.signal?.aborted) throw call.signal.reason
      if (cause instanceof ApiError || cause instanceof NetworkError) throw cause
      // The response broke off, or the attempt timed out.
      throw new NetworkError(cause, base)
    } finally {
      if (!kept) limit.release()
    }
  }

  /** Returns the complete response, with retries while they are safe and can help. */
  async function request<T>(path: string, call: Call, read: Reader<T>): Promise<T> {
    const attempts = mayRepeat(call) ? (call.attempts ?? options.attempts ?? 4) : 1
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(path, call, read)
      } catch (error) {
        const delay = attempt < attempts ? delayAfter(error, attempt) : null
        if (delay === null) throw error
        await pause(delay, call.signal)
      }
    }
  }

  return {
    base,
    send,
    /** Parses JSON without validating its shape. 204 has no body. */
    json: <T>(path: string, call: Call = {}): Promise<T> => request(path, call, readJson<T>),
    text: (path: string, call: Call = {}): Promise<string> => request(path, call, async (response) => response.text()),
    bytes: (path: string, call: Call = {}): Promise<Uint8Array> =>
      request(path, call, async (response) => new Uint8Array(await response.arrayBuffer())),
    /** The body while it arrives. Its signal is followed to its end; its timeout is for the headers. */
    body: (path: string, call: Call = {}): Promise<ReadableStream<Uint8Array>> =>
      request(path, call, async (response, keep) => flowing(response.body, keep(), call.signal)),
  }
}

/** `keep` hands over the signal of the request, to be released later. */
type Reader<T> = (response: Response, keep: () => LinkedSignal) => Promise<T>

/** The bytes of a body; at their end the signal of the request is released. */
function flowing(
  body: ReadableStream<Uint8Array> | null,
  request: LinkedSignal,
  outer: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  request.stopTimer()
  const reader = body?.getReader()
  return new ReadableStream<Uint8Array>({
    pull: async (stream) => {
      try {
        const read = await reader?.read()
        if (read?.value) return stream.enqueue(read.value)
        request.release()
        stream.close()
      } catch (error) {
        request.release()
        throw outer?.aborted ? outer.reason : new NetworkError(error)
      }
    },
    cancel: async (reason) => {
      request.release()
      await reader?.cancel(reason)
    },
  })
}

/** Whether a request is idempotent: a read, a submission with a key, or one whose repetition does no harm. */
const mayRepeat = ({ method = 'GET', headers = {}, repeatable = false }: Call): boolean =>
  repeatable || method === 'GET' || 'idempotency-key' in headers

/** ms until the next attempt; null when it cannot help. */
function delayAfter(error: unknown, attempt: number): number | null {
  const backOff = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2)
  if (error instanceof NetworkError) return backOff
  if (!(error instanceof ApiError) || !WORTH_REPEATING.has(error.status)) return null
  if (error.retryAfter === null) return backOff
  // Jitter, because many clients get the same time.
  return error.retryAfter > LONGEST_RETRY_AFTER_S ? null : error.retryAfter * 1000 + Math.random() * backOff
}

async function readJson<T>(response: Response): Promise<T> {
  const text = await response.text()
  try {
    const value: T = JSON.parse(text === '' ? 'null' : text)
    return value
  } catch {
    const { status } = response
    throw new ApiError({
      type: 'about:blank',
      title: `HTTP ${status}`,
      status,
      code: 'unexpected_answer',
      detail: 'The response is not JSON. Check that this is the address of genqueue.',
    })
  }
}
