import type { IncomingMessage } from 'node:http'
import { ServiceError } from '../shared/errors.ts'

/** How long the rest of a refused body is thrown away, so that the answer arrives before the connection ends. */
const LINGER_MS = 1000

const endedEarly = (): ServiceError => new ServiceError('invalid_json', 'The body ended early.')

/**
 * The raw body; null when it is larger than `maxBytes`, told by its announced length or as soon as it has grown so far
 * (the parsers of Express answer only after the last byte has come). Compressed bodies are refused.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | null> {
  const { 'content-encoding': encoding, 'content-length': length } = request.headers
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new ServiceError('unsupported_media_type', 'Compressed bodies are not accepted.')
  if (Number(length ?? 0) > maxBytes) return null
  if (request.destroyed) throw endedEarly()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const leave = (): void => {
      request.off('data', take).off('end', finish).off('error', fail).off('close', fail)
    }
    const take = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes <= maxBytes) chunks.push(chunk)
      else {
        leave()
        request.pause()
        resolve(null)
      }
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

/** Lets go of a request that is answered before its body was read. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS)
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  request.resume()
}
