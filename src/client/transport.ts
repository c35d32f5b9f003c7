import { ApiError, NetworkError, problemOf } from './errors.ts'

export interface TransportOptions {
  /** Origin of the service; `''` in a browser means the page's own origin, with its session cookie. */
  baseUrl: string
  key?: string
  fetch?: typeof fetch
  /** Limit of attempts for a request that can be repeated; 1: no retry. Default 4. */
  attempts?: number
  /** Timeout of one attempt, ms; 30,000 by default. Streams and long waits have their own. */
  timeout?: number
}

export interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  headers?: Record<string, string>
  body?: string | FormData
  signal?: AbortSignal | undefined
  /** Overrides the transport's. */
  attempts?: number
  timeout?: number
}

/** Statuses of a proxy, a full queue or a restart, which a retry can resolve. */
const WORTH_REPEATING = new Set([429, 502, 503, 504])
const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 8_000
/** A longer Retry-After is left to the caller. */
const LONGEST_RETRY_AFTER_S = 60

/** Sends requests to one service, with credentials, timeouts and retries. */
export function createTransport(options: TransportOptions) {
  const base = options.baseUrl.replace(/\/+$/, '')
  const doFetch = options.fetch ?? fetch

  /** One request. Rejects with a NetworkError, or with the reason of `signal` when that was aborted. */
  async function send(path: string, call: Call & { timeout?: number | undefined } = {}): Promise<Response> {
    const { method = 'GET', headers = {}, body, signal, timeout } = call
    const signals = [...(signal ? [signal] : []), ...(timeout === undefined ? [] : [AbortSignal.timeout(timeout)])]
    try {
      return await doFetch(base + path, {
        method,
        credentials: 'same-origin',
        headers: options.key ? { authorization: `Bearer ${options.key}`, ...headers } : headers,
        ...(body === undefined ? {} : { body }),
        ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new NetworkError(cause, base)
    }
  }

  async function once<T>(path: string, call: Call, read: (response: Response) => Promise<T>): Promise<T> {
    const response = await send(path, { ...call, timeout: call.timeout ?? options.timeout ?? 30_000 })
    if (!response.ok) throw await problemOf(response)
    try {
      return await read(response)
    } catch (cause) {
      call.signal?.throwIfAborted()
      if (cause instanceof ApiError) throw cause
      // The response broke off.
      throw new NetworkError(cause, base)
    }
  }

  /** Returns the complete response, with retries while they are safe and can help. */
  async function request<T>(path: string, call: Call, read: (response: Response) => Promise<T>): Promise<T> {
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
    send,
    /** Parses JSON without validating its shape. 204 has no body. */
    json: <T>(path: string, call: Call = {}): Promise<T> => request(path, call, readJson<T>),
    text: (path: string, call: Call = {}): Promise<string> => request(path, call, async (response) => response.text()),
    bytes: (path: string, call: Call = {}): Promise<Uint8Array> =>
      request(path, call, async (response) => new Uint8Array(await response.arrayBuffer())),
  }
}

/** Whether a request is idempotent: a read, or a submission with a key. */
const mayRepeat = ({ method = 'GET', headers = {} }: Call): boolean => method === 'GET' || 'idempotency-key' in headers

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

/** Rejects with the reason of `signal` when that is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
