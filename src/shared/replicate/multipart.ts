import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HandedFile } from './prediction-port.ts'

/** Multipart body with a file as its only part, `content`, and with a known length. */
export function multipartOf({ name, mediaType, bytes, body }: HandedFile) {
  const boundary = `genqueue-${randomBytes(16).toString('hex')}`
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="${name}"\r\nContent-Type: ${mediaType}\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield head
    yield* body
    yield tail
  }
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + bytes + tail.length),
    },
    body: Readable.from(parts()),
  }
}
