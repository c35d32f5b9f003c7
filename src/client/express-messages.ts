/** Requests and responses of Node, Express and Connect, in place of those of fetch. */

/** What `expressProxy` needs of a request of Node, Express or Connect. */
export interface ExpressRequest extends AsyncIterable<Uint8Array> {
  method?: string | undefined
  url?: string | undefined
  /** Express: the path with that of the mount. */
  originalUrl?: string | undefined
  headers: Record<string, string | string[] | undefined>
  /** Whether a parser has read the stream. */
  readableEnded?: boolean | undefined
  body?: unknown
}

/** What `expressProxy` needs of a response of Node, Express or Connect. */
export interface ExpressResponse {
  statusCode: number
  setHeader: (name: string, value: string) => unknown
  flushHeaders: () => void
  write: (chunk: Uint8Array) => boolean
  end: () => unknown
  destroy: (error?: Error) => unknown
  once: (event: 'close' | 'drain', listener: () => void) => unknown
  off: (event: 'close' | 'drain', listener: () => void) => unknown
}

/** The request in the form of fetch. `signal`: aborted when nobody waits for the answer any more. */
export function fetchRequest(request: ExpressRequest, signal: AbortSignal): Request {
  const { method = 'GET', originalUrl, url = '/', readableEnded = false } = request
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers))
    if (value !== undefined && !name.startsWith(':')) headers.set(name, String(value))
  const hasBody = method !== 'GET' && method !== 'HEAD'
  // A parser has changed the length.
  if (hasBody && readableEnded) headers.delete('content-length')
  const body = readableEnded ? parsedBody(request.body) : streamOf(request)
  const init: RequestInit & { duplex: 'half' } = {
    method,
    headers,
    signal,
    duplex: 'half',
    ...(hasBody ? { body } : {}),
  }
  return new Request(new URL(originalUrl ?? url, 'http://proxy.invalid'), init)
}

const parsedBody = (body: unknown): string | Uint8Array<ArrayBuffer> =>
  typeof body === 'string'
    ? body
    : body instanceof Uint8Array
      ? new Uint8Array(body)
      : body === undefined
        ? ''
        : JSON.stringify(body)

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    pull: async (stream) => {
      const next = await iterator.next()
      if (next.done) stream.close()
      else stream.enqueue(next.value)
    },
    cancel: async () => {
      await iterator.return?.()
    },
  })
}

/** Sends an answer while it arrives, as fast as it is read. */
export async function sendAnswer(answer: Response, response: ExpressResponse): Promise<void> {
  response.statusCode = answer.status
  answer.headers.forEach((value, name) => void response.setHeader(name, value))
  response.flushHeaders()
  const reader = answer.body?.getReader()
  try {
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read())
      if (!response.write(read.value)) await drained(response)
    response.end()
  } catch {
    // The headers are out: only a broken connection says that the rest is missing.
    response.destroy()
  }
}

function drained(response: ExpressResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off('drain', go)
      response.off('close', go)
      resolve()
    }
    response.once('drain', go)
    response.once('close', go)
  })
}
