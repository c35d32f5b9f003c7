/** `lost`: the connection broke and is being made anew; what was missed arrives by Last-Event-ID or must be read. */
export type StreamState = 'connecting' | 'open' | 'lost'

export interface StreamEvent {
  type: string
  data: string
}

interface FollowOptions {
  /** Rejects when the service cannot be reached. */
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>
  /** Returning false ends the subscription. */
  onEvent: (event: StreamEvent) => boolean
  onState: ((state: StreamState) => void) | undefined
  /** A 4xx answer: trying again cannot help. */
  onRefused: (response: Response) => void | Promise<void>
  /** s that an answer asks to wait before the next one. */
  retryAfterOf: (response: Response) => number | null
}

/** The service sends a comment at least this often; a silent connection is taken for dead. */
const SILENCE_MS = 45_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 8_000
/** However long the service says: a page that is looked at shall come back. */
const LONGEST_RETRY_AFTER_MS = 60_000

/**
 * Server-sent events over fetch, because EventSource can neither send a key nor tell a 401 from a cut, and Node has
 * none. Reconnects until `onEvent` returns false, the service refuses, or the returned function is called.
 */
export function followStream(options: FollowOptions): () => void {
  const stopped = new AbortController()
  void follow(options, stopped)
  return () => stopped.abort()
}

async function follow(options: FollowOptions, stopped: AbortController): Promise<void> {
  let lastEventId: string | null = null
  let retry = FIRST_RETRY_MS
  const tell = (state: StreamState) => {
    if (!stopped.signal.aborted) options.onState?.(state)
  }
  tell('connecting')
  while (!stopped.signal.aborted) {
    const connection = new AbortController()
    const cut = () => connection.abort()
    stopped.signal.addEventListener('abort', cut)
    let watchdog = setTimeout(cut, SILENCE_MS)
    let told = 0
    try {
      const response = await options.open(lastEventId, connection.signal)
      if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        if (!stopped.signal.aborted) await options.onRefused(response)
        return
      }
      if (!response.ok || !response.body) {
        told = Math.min((options.retryAfterOf(response) ?? 0) * 1000, LONGEST_RETRY_AFTER_MS)
        throw new Error(`HTTP ${response.status}`)
      }
      tell('open')
      retry = FIRST_RETRY_MS
      for await (const event of parseEvents(response.body, () => {
        clearTimeout(watchdog)
        watchdog = setTimeout(cut, SILENCE_MS)
      })) {
        if (stopped.signal.aborted) return
        if (event.id !== null) lastEventId = event.id
        if (event.data !== '' && !options.onEvent(event)) return
      }
    } catch {
      // A cut, a refused connection or a 5xx: all are answered by connecting again.
    } finally {
      clearTimeout(watchdog)
      stopped.signal.removeEventListener('abort', cut)
      connection.abort()
    }
    tell('lost')
    await pause(Math.max(retry, told), stopped.signal)
    retry = Math.min(retry * 2, LAST_RETRY_MS)
  }
}

/** The event stream format of the HTML standard, section 9.2.6, without `retry`. */
async function* parseEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<StreamEvent & { id: string | null }> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let type = 'message'
  let id: string | null = null
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      onBytes()
      rest += decoder.decode(value, { stream: true })
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0 || id !== null) yield { type, id, data: data.join('\n') }
          type = 'message'
          id = null
          data = []
          continue
        }
        const colon = line.indexOf(':')
        if (colon === 0) continue
        const field = colon === -1 ? line : line.slice(0, colon)
        const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
        if (field === 'event') type = value
        if (field === 'data') data.push(value)
        if (field === 'id') id = value
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
