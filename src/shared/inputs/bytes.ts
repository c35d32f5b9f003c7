import { HEAD_BYTES } from './media-type.ts'

const CHUNK_BYTES = 256 * 1024

/** Yields a buffer in chunks, so that a consumer can process it incrementally. */
export async function* inChunks(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

/** Returns the first bytes of a body, and the body from its beginning. */
export async function peek(body: AsyncIterable<Uint8Array>) {
  const iterator = body[Symbol.asyncIterator]()
  const first: Uint8Array[] = []
  let bytes = 0
  let isOver = false
  while (bytes < HEAD_BYTES && !isOver) {
    const next = await iterator.next()
    isOver = next.done === true
    if (!next.done) {
      first.push(next.value)
      bytes += next.value.byteLength
    }
  }
  const head = Buffer.concat(first)
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      yield head
      for (;;) {
        const next = isOver ? null : await iterator.next()
        if (next === null || next.done) return
        yield next.value
      }
    } finally {
      await iterator.return?.()
    }
  }
  return { head: head.subarray(0, HEAD_BYTES), rest, end: async () => void (await iterator.return?.()) }
}
