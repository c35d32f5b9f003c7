import { Agent, fetch, request, type Dispatcher } from 'undici'
import { z } from 'zod'
import { createJsonExtract } from '../values/json-extract.ts'
import { readEvents } from '../values/read-events.ts'
import { withoutParameters } from '../artifacts/rules/media-types.ts'
import type { RelayPort, RelayRequest, RelayResponse } from './relay-port.ts'
import { STREAM_URL } from './rules/extract-rules.ts'
import { isStreamHost } from './rules/stream-host.ts'

export interface ReplicateRelayOptions {
  token: string
  /** Ends in `/v1`. */
  baseUrl: string
  /** ms */
  connectTimeout: number
  readTimeout: number
}

const MAX_BYTES = 4 * 1024 * 1024
/** Characters of one event of a stream. */
const MAX_EVENT = 1024 * 1024
/** ms of silence after which a stream counts as broken. Replicate ends it after 30 s. */
const STREAM_IDLE_MS = 60_000

const withStream = z.object({ urls: z.object({ stream: z.string().nullish() }).nullish() })

/** Reads that are passed on, by undici itself: the official client changes requests and hides headers. */
export function createReplicateRelay(options: ReplicateRelayOptions): RelayPort & { close(): Promise<void> } {
  const { token, baseUrl, connectTimeout, readTimeout } = options
  const agent = new Agent({
    connect: { timeout: connectTimeout },
    headersTimeout: readTimeout,
    bodyTimeout: readTimeout,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 4_000,
  })
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'genqueue' }

  return {
    async read({ method, path, body }: RelayRequest): Promise<RelayResponse> {
      // `fetch` sends any method.
      const response = await fetch(baseUrl + path, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'text/plain; charset=utf-8' }) },
        ...(body === undefined ? {} : { body }),
        // Passed on to clients, a redirect could show them what only this machine can reach.
        redirect: 'error',
        dispatcher: agent,
      })
      const chunks: Uint8Array[] = []
      let bytes = 0
      for await (const chunk of response.body ?? []) {
        bytes += chunk.byteLength
        if (bytes > MAX_BYTES) throw new Error(`a response of more than ${MAX_BYTES} bytes`)
        chunks.push(chunk)
      }
      const seconds = response.headers.get('retry-after') ?? ''
      return {
        status: response.status,
        mediaType: withoutParameters(response.headers.get('content-type') ?? ''),
        text: Buffer.concat(chunks).toString('utf8'),
        retryAfterMs: /^\d+$/.test(seconds) ? Number(seconds) * 1000 : null,
      }
    },

    async streamUrl(prediction) {
      const response = await request(`${baseUrl}/predictions/${encodeURIComponent(prediction)}`, {
        headers,
        dispatcher: agent,
      })
      const extract = createJsonExtract(STREAM_URL, MAX_BYTES)
      for await (const chunk of bodyOf(response)) extract.write(chunk)
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
      const url = withStream.parse(JSON.parse(extract.end())).urls?.stream ?? null
      return url !== null && isStreamHost(url, baseUrl) ? url : null
    },

    async *stream(url, signal) {
      const response = await request(url, {
        headers: { accept: 'text/event-stream', 'user-agent': 'genqueue' },
        bodyTimeout: STREAM_IDLE_MS,
        dispatcher: agent,
        signal,
      })
      const body = bodyOf(response)
      try {
        if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
        for await (const { event, data } of readEvents(body, MAX_EVENT)) {
          if (event === 'output') yield { kind: 'output', text: data }
          if (event === 'done' || event === 'error') return yield { kind: 'done' }
        }
      } finally {
        response.body.destroy()
      }
    },

    close: () => agent.destroy(),
  }
}

/** A body that is destroyed early also emits an error, besides what its reader gets. */
function bodyOf({ body }: Dispatcher.ResponseData): AsyncIterable<Buffer> {
  body.on('error', () => undefined)
  return body
}
