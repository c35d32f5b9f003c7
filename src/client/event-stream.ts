import { problemOf, retryAfterOf } from './errors.ts'
import { linkSignal, pause } from './signals.ts'

/** `lost`: the connection broke and is being reopened; missed events arrive by Last-Event-ID or must be read. */
export type StreamState = 'connecting' | 'open' | 'lost'

export interface StreamEvent {
  type: string
  id: string | null
  data: string
}

export type Happening<T> =
  | { kind: 'state'; state: StreamState }
  /** `news` is null for an event that only moves the position. */
  | { kind: 'event'; id: string | null; news: T | null }

export interface FollowOptions<T> {
  /** Rejects when the service cannot be reached. */
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>
  /** Parses an event; null: nothing for the caller. Throws for unreadable data, which is requested again. */
  read: (event: StreamEvent) => T | null
  /** Whether nothing can follow. */
  isLast: (news: T) => boolean
  /** Id of the event after which to begin. */
  since?: string | null | undefined
  signal?: AbortSignal | undefined
}

/** Heartbeat: the service sends a comment at least this often; a silent connection counts as broken. */
const SILENCE_MS = 45_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 8_000
/** Upper limit of the wait that the service requests, so that a visible page reconnects soon. */
const LONGEST_RETRY_AFTER_MS = 60_000

/**
 * Server-sent events over fetch, because EventSource cannot send a key, cannot distinguish a 401 from a cut, and is missing in
 * Node. Reconnects until the last news. Throws the ApiError of a service that refuses permanently (4xx), and the reason of
 * `signal`. Events are read as they are asked for, so a slow reader holds back the service. Leaving the iteration closes the
 * connection.
 */
export async function* followStream<T>(options: FollowOptions<T>): AsyncGenerator<Happening<T>, void, undefined> {
  const { signal } = options
  let lastEventId = options.since ?? null
  let retry = FIRST_RETRY_MS
  yield { kind: 'state', state: 'connecting' }
  for (;;) {
    if (signal?.aborted) throw signal.reason
    let asked = 0
    let last: Happening<T> | null = null
    for await (const step of connect(options, lastEventId)) {
      if (signal?.aborted) throw signal.reason
      if (step.kind === 'refused') throw await problemOf(step.response)
      if (step.kind === 'lost') asked = step.retryAfterMs
      else if (step.kind === 'state') {
        retry = FIRST_RETRY_MS
        yield step
      } else if (step.news !== null && options.isLast(step.news)) {
        last = step
        break
      } else {
        yield step
        if (step.id !== null) lastEventId = step.id
      }
    }
    if (last) {
      // The connection is closed by now, however long the reader keeps the last news.
      yield last
      return
    }
    if (signal?.aborted) throw signal.reason
    yield { kind: 'state', state: 'lost' }
    await pause(Math.max(retry, asked), signal)
    retry = Math.min(retry * 2, LAST_RETRY_MS)
  }
}

type Step<T> = Happening<T> | { kind: 'refused'; response: Response } | { kind: 'lost'; retryAfterMs: number }

/**
 * One connection, from the request to its end. It never throws: what the reader of its steps throws cannot be mistaken for
 * trouble of the connection.
 */
async function* connect<T>(
  { open, read, signal }: FollowOptions<T>,
  lastEventId: string | null,
): AsyncGenerator<Step<T>, void, undefined> {
  const connection = linkSignal(signal)
  /** Silence counts only while bytes are awaited: a slow reader is none. */
  const heard = async <V>(awaited: Promise<V>): Promise<V> => {
    const watchdog = setTimeout(connection.abort, SILENCE_MS)
    try {
      return await awaited
    } finally {
      clearTimeout(watchdog)
    }
  }
  let retryAfterMs = 0
  try {
    const response = await heard(open(lastEventId, connection.signal))
    if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      yield { kind: 'refused', response }
      return
    }
    if (response.ok && response.body) {
      yield { kind: 'state', state: 'open' }
      const reader = response.body.getReader()
      // Where fetch ignores the signal, this closes the connection. Not awaited: a cloned response ends with its clone.
      const cut = (): void => void reader.cancel().catch(() => undefined)
      connection.signal.addEventListener('abort', cut)
      try {
        for await (const event of parseEvents(() => heard(reader.read())))
          yield { kind: 'event', id: event.id, news: event.data === '' ? null : read(event) }
      } finally {
        connection.signal.removeEventListener('abort', cut)
        cut()
      }
    } else retryAfterMs = Math.min((retryAfterOf(response) ?? 0) * 1000, LONGEST_RETRY_AFTER_MS)
  } catch {
    // A broken or refused connection and an unreadable event all lead to a reconnect.
  } finally {
    connection.release()
    connection.abort()
  }
  yield { kind: 'lost', retryAfterMs }
}

/** The event stream format of the HTML standard, section 9.2.6, without `retry`. */
async function* parseEvents(
  readBytes: () => Promise<{ done: boolean; value?: Uint8Array | undefined }>,
): AsyncGenerator<StreamEvent, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let type = 'message'
  let id: string | null = null
  let data: string[] = []
  for (;;) {
    const { done, value: bytes } = await readBytes()
    if (done) return
    rest += decoder.decode(bytes, { stream: true })
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
}
