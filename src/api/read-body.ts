import type { IncomingMessage } from 'node:http'
import { ServiceError } from '../shared/errors.ts'

/** How long the rest of a refused body is thrown away, so that the answer arrives before the connection ends. */
const LINGER_MS = 1000

const endedEarly = (): ServiceError => new ServiceError('invalid_json', 'The body ended early.')

export function refuseCompressed({ headers: { 'content-encoding': encoding } }: IncomingMessage): void {
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ServiceError('unsupported_media_type', 'Compressed bodies are not accepted.')
}

export interface BodyOptions {
  maxBytes: number
  /** ms without a byte after which the body is given up. */
  idleMs: number
  /** Sees each part as it comes; what it throws ends the reading. */
  look?: (chunk: Buffer) => void
}

/**
 * The raw body; null when it is larger than `maxBytes`, judged by its announced length or as soon as it has grown so far
 * (the parsers of Express answer only after the last byte has come). Compressed bodies are refused, and those that stop
 * coming.
 */
export async function readBody(
  request: IncomingMessage,
  { maxBytes, idleMs, look = () => undefined }: BodyOptions,
): Promise<Buffer | null> {
  refuseCompressed(request)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null
  if (request.destroyed) throw endedEarly()
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

export const idled = (idleMs: number): ServiceError =>
  new ServiceError('request_timeout', `No byte of the body came for ${idleMs / 1000} seconds.`)

/** Calls `onIdle` once when nothing moved for `idleMs`. `isWaiting`: false while it is us who do not read on. */
export function watchIdle(
  idleMs: number,
  onIdle: () => void,
  isWaiting: () => boolean = () => true,
): { moved(): void; end(): void } {
  let hasMoved = false
  let isOver = false
  const timer = setTimeout(() => {
    hasMoved = false
    // After a turn that took long, timers run before what has come meanwhile is read.
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

/** Lets go of a request that is answered before its body was read. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  request.resume()
}
