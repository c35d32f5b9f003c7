import type { Readable } from 'node:stream'
import { Agent, request } from 'undici'
import { createCheckedConnect } from './checked-connect.ts'
import { ForbiddenAddressError } from './public-address.ts'
import { messageOf } from '../values/error-text.ts'

/**
 * Fetches output files. A URL in an output is untrusted text from a model: it is fetched only over https from public
 * addresses, checked when connecting, and without redirects. The one exception is the configured upstream: URLs below
 * `/files/` of its exact origin are allowed although it is private (the simulator). No credentials are ever sent.
 */
export interface OutputFetcher {
  open(url: string, signal: AbortSignal): Promise<OutputFile>
  close(): Promise<void>
}

export interface OutputFile {
  body: AsyncIterable<Uint8Array>
  /** null when upstream sent no length */
  bytes: number | null
  /** Declared type; null: none. */
  mediaType: string | null
}

/** `gone`: a retry cannot help. `absent`: the host responded that there is no such file. */
export class OutputFetchError extends Error {
  override name = 'OutputFetchError'
  readonly gone: boolean
  readonly absent: boolean
  constructor(message: string, gone: boolean, { absent = false, cause }: { absent?: boolean; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.gone = gone
    this.absent = absent
  }
}

/** Path below which the simulator serves only outputs. */
const OUTPUT_PATHS = '/files/'

export function createOutputFetcher(options: { upstreamBaseUrl: string; connectTimeout: number }): OutputFetcher {
  const upstream = new URL(options.upstreamBaseUrl).origin
  const guarded = new Agent({ connect: createCheckedConnect({ timeout: options.connectTimeout }) })
  const trusted = new Agent({ connect: { timeout: options.connectTimeout } })

  return {
    async open(text, signal) {
      if (!URL.canParse(text)) throw new OutputFetchError('the link is not a URL, so it is not fetched', true)
      const url = new URL(text)
      const own = url.origin === upstream && url.pathname.startsWith(OUTPUT_PATHS)
      if (!own && url.protocol !== 'https:') throw new OutputFetchError(`${url.origin} is not fetched: not https`, true)
      if (url.username || url.password)
        throw new OutputFetchError(`${url.host} is not fetched: credentials in the URL`, true)
      // Takes half the work of `fetch`, and neither follows redirects nor decompresses.
      const { statusCode, headers, body } = await request(url, {
        dispatcher: own ? trusted : guarded,
        headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'genqueue' },
        signal,
      }).catch((error: unknown) => {
        const text = messageOf(error)
        throw new OutputFetchError(`${url.host}: ${text}`, error instanceof ForbiddenAddressError, { cause: error })
      })
      // An error before the first read is thrown to the reader.
      body.on('error', () => undefined)
      const refuse = (what: string, absent: boolean): never => {
        body.destroy()
        throw new OutputFetchError(`${url.host} responded with ${what}`, absent, { absent })
      }
      if (statusCode !== 200) refuse(String(statusCode), [404, 410].includes(statusCode))
      const encoding = headers['content-encoding'] ?? 'identity'
      if (encoding !== 'identity') refuse(`the encoding ${String(encoding)}, which was not requested`, false)
      const length = headers['content-length']
      const declared = headers['content-type']
      return {
        body: closable(body),
        bytes: length === undefined ? null : Number(length),
        mediaType: typeof declared === 'string' ? declared : null,
      }
    },
    async close() {
      await Promise.all([guarded.destroy(), trusted.destroy()])
    },
  }
}

/** Iterable that can be closed before the first read; an unstarted generator would leave its stream open. */
const closable = (body: Readable): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]() {
    const chunks: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]()
    return {
      next: () => chunks.next(),
      async return() {
        body.destroy()
        return { done: true, value: undefined }
      },
    }
  },
})
