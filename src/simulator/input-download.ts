/** The bytes, or an error text that becomes the prediction's error. */
export type Download = { bytes: Buffer } | { error: string }

const TIMEOUT_MS = 30_000

/**
 * Fetches an input as a model does: follows redirects, within a size limit and 30 seconds. Error texts are those of the
 * Python library that models use.
 */
export async function download(
  url: URL,
  { limit, stopping }: { limit: number; stopping: AbortSignal },
): Promise<Download> {
  const where = `host='${url.hostname}', port=${url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port}`
  const pool = `${url.protocol === 'https:' ? 'HTTPS' : 'HTTP'}ConnectionPool(${where})`
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const response = await fetch(url, { signal: AbortSignal.any([timeout, stopping]) })
    if (!response.ok) {
      await response.body?.cancel()
      const side = response.status < 500 ? 'Client' : 'Server'
      return { error: `${response.status} ${side} Error: ${response.statusText} for url: ${url.href}` }
    }
    const bytes = await readUpTo(response, limit)
    return bytes === null ? { error: `Input file is too large: more than ${limit} bytes at ${url.href}` } : { bytes }
  } catch {
    if (timeout.aborted) return { error: `${pool}: Read timed out. (read timeout=${TIMEOUT_MS / 1000})` }
    return { error: `${pool}: Max retries exceeded with url: ${url.pathname}` }
  }
}

async function readUpTo(response: Response, limit: number): Promise<Buffer | null> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > limit) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
