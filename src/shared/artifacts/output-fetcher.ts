import { Agent, buildConnector, fetch } from 'undici'
import { ForbiddenAddressError, resolvePublicAddress } from './public-address.ts'

/**
 * Fetches output files. A URL in an output is text that a model wrote: it is followed only over https to public
 * addresses, checked at the moment of connecting, and without redirects; the one exception is the exact origin of the
 * configured upstream when that is itself private (the simulator). No credentials are ever sent.
 */
export interface OutputFetcher {
  open(url: string, signal: AbortSignal): Promise<OutputFile>
  close(): Promise<void>
}

export interface OutputFile {
  body: AsyncIterable<Uint8Array>
  /** null when upstream did not say */
  bytes: number | null
}

/** `gone`: the file will never come back. */
export class OutputFetchError extends Error {
  override name = 'OutputFetchError'
  readonly gone: boolean
  constructor(message: string, gone: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.gone = gone
  }
}

export function createOutputFetcher(options: { upstreamBaseUrl: string; connectTimeout: number }): OutputFetcher {
  const upstream = new URL(options.upstreamBaseUrl).origin
  const connect = buildConnector({ timeout: options.connectTimeout })
  const connectChecked: buildConnector.connector = (target, callback) => {
    const begin = async (): Promise<void> => {
      const address = await resolvePublicAddress(target.hostname)
      connect({ ...target, hostname: address, servername: target.servername || target.hostname }, callback)
    }
    begin().catch((error: unknown) => {
      // oxlint-disable-next-line promise/no-callback-in-promise -- undici's connectors are callbacks
      callback(error instanceof Error ? error : new Error(String(error)), null)
    })
  }
  const guarded = new Agent({ connect: connectChecked })
  const trusted = new Agent({ connect: { timeout: options.connectTimeout } })

  return {
    async open(text, signal) {
      const url = new URL(text)
      const own = url.origin === upstream
      if (!own && url.protocol !== 'https:') throw new OutputFetchError(`${url.origin} is not fetched: not https`, true)
      if (url.username || url.password)
        throw new OutputFetchError(`${url.host} is not fetched: credentials in the URL`, true)
      const response = await fetch(url, {
        dispatcher: own ? trusted : guarded,
        redirect: 'manual',
        headers: { 'accept-encoding': 'identity' },
        signal,
      }).catch((error: unknown) => {
        const cause = error instanceof Error ? (error.cause ?? error) : error
        const text = cause instanceof Error ? cause.message : String(cause)
        throw new OutputFetchError(`${url.host}: ${text}`, cause instanceof ForbiddenAddressError, error)
      })
      if (response.status !== 200 || !response.body) {
        await response.body?.cancel()
        throw new OutputFetchError(`${url.host} answered ${response.status}`, [404, 410].includes(response.status))
      }
      const encoding = response.headers.get('content-encoding')
      if (encoding !== null && encoding !== 'identity') {
        await response.body.cancel()
        throw new OutputFetchError(`${url.host} answered in ${encoding}, which was not asked for`, false)
      }
      const length = response.headers.get('content-length')
      // Taken at once: undici cancels a body that nobody reads yet when its response is collected as garbage, and then it
      // would seem to be empty.
      const chunks = response.body[Symbol.asyncIterator]()
      return { body: { [Symbol.asyncIterator]: () => chunks }, bytes: length === null ? null : Number(length) }
    },
    async close() {
      await Promise.all([guarded.destroy(), trusted.destroy()])
    },
  }
}
