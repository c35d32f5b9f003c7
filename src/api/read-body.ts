import type { IncomingMessage } from 'node:http'
import { ServiceError } from '../shared/errors/service-error.ts'

/** Time in which the rest of a refused body is discarded, so that the response arrives before the connection closes, ms. */
const LINGER_MS = 1000

const endedEarly = (): ServiceError => new ServiceError('invalid_json', 'The body ended early.')

export function refuseCompressed({ headers: { 'content-encoding': encoding } }: IncomingMessage): void {
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ServiceError('unsupported_media_type', 'Compressed bodies are not accepted.')
}

export interface BodyOptions {
  maxBytes: number
  /** ms without a byte after which reading is aborted. */
  idleMs: number
  /** Receives each chunk; throwing ends the reading. */
  look?: (chunk: Buffer) => void
}

/**
 * Reads the raw body; null when it exceeds `maxBytes`, by its announced length or as soon as it has grown that far (the
 * parsers of Express respond only after the last byte). Refuses compressed and stalled bodies.
 */
export async function readBody(
  request: IncomingMessage,
  { maxBytes, idleMs, look = () => undefined }: BodyOptions,
): Promise<Buffer | null> {
  refuseCompressed(request)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null
  if (request.destroyed) throw endedEarly()
  if (request.complete && request.readableFlowing === null) return readArrived(request, maxBytes, look)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const idle = watchIdle(idleMs, () => stop(idled(idleMs)))
    const leave = (): void => {
      idle.end()
      request.off('data', take).off('end', finish).off('error', fail).off('close', fail)
    }
    const take = (chunk: Buffer): void => {
      bytes += chunk.length
      idle.moved()
      if (bytes > maxBytes) return stop(null)
      try {
        look(chunk)
        chunks.push(chunk)
      } catch (error) {
        stop(error instanceof Error ? error : endedEarly())
      }
    }
    /** Stops reading; null: the body is too large. */
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

/** Reads a body of which every byte has arrived, as small ones have when they are read. */
function readArrived(request: IncomingMessage, maxBytes: number, look: (chunk: Buffer) => void): Buffer | null {
  const chunks: Buffer[] = []
  let bytes = 0
  for (;;) {
    const chunk: unknown = request.read()
    if (!Buffer.isBuffer(chunk)) break
    bytes += chunk.length
    if (bytes > maxBytes) return null
    look(chunk)
    chunks.push(chunk)
  }
  const [only] = chunks
  return only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks)
}

export const idled = (idleMs: number): ServiceError =>
  new ServiceError('request_timeout', `No byte of the body was received for ${idleMs / 1000} seconds.`)

/** Watchdog: calls `onIdle` once after `idleMs` without data. `isWaiting`: false while the reader itself pauses. */
export function watchIdle(
  idleMs: number,
  onIdle: () => void,
  isWaiting: () => boolean = () => true,
): { moved(): void; end(): void } {
  let hasMoved = false
  let isOver = false
  const timer = setTimeout(() => {
    hasMoved = false
    // After a long turn, timers run before received data is read.
    setImmediate(() => {
      if (isOver) return
      if (hasMoved || !isWaiting()) timer.refresh()
      else onIdle()
    })
  }, idleMs)
  timer.unref()
  return {
    moved() {
      hasMoved = true
      timer.refresh()
    },
    end() {
      isOver = true
      clearTimeout(timer)
    },
  }
}

/** Discards the body of a request that gets a response before the body was read. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  request.resume()
}
