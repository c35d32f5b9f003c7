import { pause } from './transport.ts'

/** `lost`: the connection broke and is being reopened; missed events arrive by Last-Event-ID or must be read. */
export type StreamState = 'connecting' | 'open' | 'lost'

export interface StreamEvent {
  type: string
  data: string
}

interface FollowOptions<T> {
  /** Rejects when the service cannot be reached. */
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>
  /** Parses an event; null: nothing for the caller. Throws for unreadable data, which is requested again. */
  read: (event: StreamEvent) => T | null
  /** Returning false ends the subscription. */
  onNews: (news: T) => boolean
  onState: ((state: StreamState) => void) | undefined
  /** A 4xx response: a retry cannot help. */
  onRefused: (response: Response) => void | Promise<void>
  /** One of the functions above threw `error`; the subscription has ended. What this one throws is an unhandled rejection. */
  onThrown: (error: unknown) => void
  /** s that a response requests before the next attempt. */
  retryAfterOf: (response: Response) => number | null
}

/** Heartbeat: the service sends a comment at least this often; a silent connection counts as broken. */
const SILENCE_MS = 45_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 8_000
/** Upper limit of the wait that the service requests, so that a visible page reconnects soon. */
const LONGEST_RETRY_AFTER_MS = 60_000

/**
 * Server-sent events over fetch, because EventSource cannot send a key, cannot distinguish a 401 from a cut, and is missing in
 * Node. Reconnects until `onNews` returns false, the service refuses, a function of the caller throws, or the returned
 * function is called.
 */
export function followStream<T>(options: FollowOptions<T>): () => void {
  const stopped = new AbortController()
  void follow(options, stopped)
  return () => stopped.abort()
}

async function follow<T>(options: FollowOptions<T>, stopped: AbortController): Promise<void> {
  try {
    await followToEnd(options, stopped.signal)
  } catch (error) {
    options.onThrown(error)
  } finally {
    stopped.abort()
  }
}

/** Rejects with what a function of the caller throws, and with nothing else: connections report their trouble as `lost`. */
async function followToEnd<T>(options: FollowOptions<T>, stopped: AbortSignal): Promise<void> {
  let lastEventId: string | null = null
  let retry = FIRST_RETRY_MS
  const report = (state: StreamState): void => {
    if (!stopped.aborted) options.onState?.(state)
  }
  report('connecting')
  while (!stopped.aborted) {
    let asked = 0
    for await (const happening of connect(options, lastEventId, stopped)) {
      if (stopped.aborted) return
      if (happening.kind === 'open') {
        retry = FIRST_RETRY_MS
        report('open')
      } else if (happening.kind === 'event') {
        if (happening.news !== null && !options.onNews(happening.news)) return
        if (happening.id !== null) lastEventId = happening.id
      } else if (happening.kind === 'refused') {
        await options.onRefused(happening.response)
        return
      } else asked = happening.retryAfterMs
    }
    report('lost')
    await pause(Math.max(retry, asked), stopped).catch(() => undefined)
    retry = Math.min(retry * 2, LAST_RETRY_MS)
  }
}

type Happening<T> =
  | { kind: 'open' }
  | { kind: 'event'; id: string | null; news: T | null }
  | { kind: 'refused'; response: Response }
  | { kind: 'lost'; retryAfterMs: number }

/**
 * One connection, from the request to its end. It never throws: the caller's functions are called where its happenings are
 * read, so that their errors cannot be mistaken for those of the connection.
 */
async function* connect<T>(
  { open, read, retryAfterOf }: FollowOptions<T>,
  lastEventId: string | null,
  stopped: AbortSignal,
): AsyncGenerator<Happening<T>> {
  const connection = new AbortController()
  const cut = (): void => connection.abort()
  stopped.addEventListener('abort', cut)
  let watchdog = setTimeout(cut, SILENCE_MS)
  let retryAfterMs = 0
  try {
    const response = await open(lastEventId, connection.signal)
    if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      yield { kind: 'refused', response }
      return
    }
    if (response.ok && response.body) {
      yield { kind: 'open' }
      for await (const event of parseEvents(response.body, () => {
        clearTimeout(watchdog)
        watchdog = setTimeout(cut, SILENCE_MS)
      }))
        yield { kind: 'event', id: event.id, news: event.data === '' ? null : read(event) }
    } else retryAfterMs = Math.min((retryAfterOf(response) ?? 0) * 1000, LONGEST_RETRY_AFTER_MS)
  } catch {
    // A broken or refused connection and an unreadable event all lead to a reconnect.
  } finally {
    clearTimeout(watchdog)
    stopped.removeEventListener('abort', cut)
    connection.abort()
  }
  yield { kind: 'lost', retryAfterMs }
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
