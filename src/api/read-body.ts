import type { IncomingMessage } from 'node:http'
import { ServiceError } from '../shared/errors.ts'

/** How long the rest of a refused body is thrown away, so that the answer arrives before the connection ends. */
const LINGER_MS = 1000

const endedEarly = (): ServiceError => new ServiceError('invalid_json', 'The body ended early.')

export function refuseCompressed({ headers: { 'content-encoding': encoding } }: IncomingMessage): void {
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ServiceError('unsupported_media_type', 'Compressed bodies are not accepted.')
}

/**
 * The raw body; null when it is larger than `maxBytes`, told by its announced length or as soon as it has grown so far
 * (the parsers of Express answer only after the last byte has come). Compressed bodies are refused, and those that come
 * too slowly. `look` sees each part as it comes; what it throws ends the reading.
 */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  look: (chunk: Buffer) => void = () => undefined,
): Promise<Buffer | null> {
  refuseCompressed(request)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null
  if (request.destroyed) throw endedEarly()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const pace = watchPace(() => stop(tooSlow()))
    const leave = (): void => {
      pace.end()
      request.off('data', take).off('end', finish).off('error', fail).off('close', fail)
    }
    const take = (chunk: Buffer): void => {
      bytes += chunk.length
      pace.moved(chunk.length)
      if (bytes > maxBytes) return stop(null)
      try {
        look(chunk)
        chunks.push(chunk)
      } catch (error) {
        stop(error instanceof Error ? error : endedEarly())
      }
    }
    /** The rest is not read; null: it is too large. */
    const stop = (error: Error | null): void => {
      leave()
      request.pause()
      if (error === null) resolve(null)
      else reject(error)
    }
    const finish = (): void => {
      leave()
      resolve(Buffer.concat(chunks))
    }
    const fail = (): void => {
      leave()
      reject(endedEarly())
    }
    request.on('data', take).on('end', finish).on('error', fail).on('close', fail)
  })
}

/** A body may take half a minute, and longer only if it keeps up this pace. */
const GRACE_MS = 30_000
const BYTES_PER_SECOND = 50_000
const LOOK_MS = 1000

export const tooSlow = (): ServiceError =>
  new ServiceError('request_timeout', `The body came too slowly: less than ${BYTES_PER_SECOND} bytes a second.`)

/** Tells when a body comes too slowly to be waited for. */
export function watchPace(onSlow: () => void): { moved(bytes: number): void; end(): void } {
  const begun = performance.now()
  let bytes = 0
  const timer = setInterval(() => {
    if (performance.now() - begun <= GRACE_MS + (bytes / BYTES_PER_SECOND) * 1000) return
    clearInterval(timer)
    onSlow()
  }, LOOK_MS)
  timer.unref()
  return {
    moved: (more) => void (bytes += more),
    end: () => clearInterval(timer),
  }
}

/** Lets go of a request that is answered before its body was read. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  request.resume()
}
