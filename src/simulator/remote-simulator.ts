import { redirectingFetch } from './redirecting-fetch.ts'
import type { Books, SeenRequest, Stub } from './test-kit-types.ts'

/** A simulator in another process, by its `/_sim` routes. Every method rejects with the simulator's own words. */
export interface RemoteSimulator {
  /** http://127.0.0.1:4010 */
  url: string
  /** The base URL for clients. */
  apiUrl: string
  /** As `Simulator.fetch`. */
  fetch: typeof fetch
  /** As `Simulator.stub`; `output` is JSON, not a function. @param token only creates with this token */
  stub(stub: Stub, token?: string): Promise<void>
  /** @param token only requests with this token */
  requests(token?: string): Promise<SeenRequest[]>
  books(): Promise<Books>
  /** Merges into the active faults and returns all of them; null removes all. */
  faults(changes?: object | null): Promise<Record<string, Record<string, unknown>>>
  /** Moves the time forward. */
  advance(ms: number): Promise<void>
  /** @param token only its stubs and requests; absent: everything */
  reset(token?: string): Promise<void>
}

export function connectSimulator(url: string): RemoteSimulator {
  const origin = new URL(url).origin
  // Before a test replaces it.
  const send = globalThis.fetch

  async function call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const response = await send(`${origin}/_sim/${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} /_sim/${path}: ${response.status} ${text}`)
    return JSON.parse(text === '' ? 'null' : text)
  }
  const of = (token: string | undefined) => (token === undefined ? '' : `?token=${encodeURIComponent(token)}`)

  return {
    url: origin,
    apiUrl: `${origin}/v1`,
    fetch: redirectingFetch({ to: origin, fetch: send }),
    async stub({ startSeconds, times, ...stub }, token) {
      if (typeof stub.output === 'function')
        throw new TypeError('A stub of a simulator in another process has JSON as its output, not a function.')
      await call('POST', 'stubs', {
        ...stub,
        ...(token === undefined ? {} : { token }),
        ...(startSeconds === undefined ? {} : { start_seconds: startSeconds }),
        ...(times === undefined ? {} : { times: times === Infinity ? 'always' : times }),
      })
    },
    requests: (token) => call('GET', `requests${of(token)}`),
    books: () => call('GET', 'books'),
    faults: (changes) =>
      changes === undefined
        ? call('GET', 'faults')
        : changes === null
          ? call('DELETE', 'faults')
          : call('POST', 'faults', changes),
    async advance(ms) {
      await call('POST', 'clock', { advance_seconds: ms / 1000 })
    },
    async reset(token) {
      if (token === undefined) return call('POST', 'reset')
      await call('DELETE', `stubs${of(token)}`)
      await call('DELETE', `requests${of(token)}`)
    },
  }
}
