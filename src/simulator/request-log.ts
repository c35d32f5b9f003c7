import type { SimulatorRequest } from './http/router.ts'
import type { Reply } from './http/reply.ts'
import { tokenOf } from './routes/request-headers.ts'
import type { SeenRequest } from './test-kit-types.ts'

export interface RequestLog {
  /** Notes a request, whose body it sees as it is read. The returned function notes the reply. */
  begin(request: SimulatorRequest): { request: SimulatorRequest; end(reply: Reply): Promise<void> }
  /** Oldest first. @param token only requests with this token */
  all(token?: string): SeenRequest[]
  clear(token?: string): void
}

/** Older requests are forgotten. */
const KEPT = 1000
const KEPT_BYTES = 32 * 1024 * 1024

interface Row {
  token: string | null
  bytes: number
  seen: SeenRequest
}

export function createRequestLog(now: () => number): RequestLog {
  let rows: Row[] = []
  let keptBytes = 0

  function forgetOldest(): void {
    while (rows.length > KEPT || (keptBytes > KEPT_BYTES && rows.length > 1)) keptBytes -= rows.shift()?.bytes ?? 0
  }

  return {
    begin(request) {
      const { method, path, query, headers } = request
      const row: Row = {
        token: tokenOf(headers),
        bytes: 0,
        seen: {
          at: now(),
          method,
          path,
          query: Object.fromEntries(query),
          headers: shownHeaders(headers),
          body: null,
          status: null,
        },
      }
      rows.push(row)
      forgetOldest()
      let raw: Buffer | null = null
      const readBody = async (limit: number): Promise<Buffer | 'too large'> => {
        const body = await request.readBody(limit)
        if (body !== 'too large') raw = body
        return body
      }
      return {
        request: { ...request, readBody },
        async end(reply) {
          row.seen.status = reply.kind === 'cut' ? null : reply.status
          if (raw === null || raw.length === 0) return
          row.seen.body = await parsedBody(raw, headers['content-type'] ?? '')
          row.bytes = raw.length
          if (!rows.includes(row)) return
          keptBytes += row.bytes
          forgetOldest()
        },
      }
    },
    all: (token) => rows.filter((row) => token === undefined || row.token === token).map(({ seen }) => seen),
    clear(token) {
      rows = token === undefined ? [] : rows.filter((row) => row.token !== token)
      keptBytes = rows.reduce((sum, { bytes }) => sum + bytes, 0)
    },
  }
}

function shownHeaders(headers: SimulatorRequest['headers']): Record<string, string> {
  const shown: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    const text = Array.isArray(value) ? value.join(', ') : value
    shown[name] = name === 'authorization' ? text.replace(/\s.*$/s, ' [redacted]') : text
  }
  return shown
}

/** A body as its type says; as text, or its size, when it is not of that type. */
async function parsedBody(raw: Buffer, type: string): Promise<unknown> {
  if (/^multipart\/form-data|^application\/x-www-form-urlencoded/i.test(type)) {
    try {
      const form = await new Response(new Uint8Array(raw), { headers: { 'content-type': type } }).formData()
      return Object.fromEntries([...form].map(([name, value]) => [name, shownField(value)]))
    } catch {
      return { bytes: raw.length }
    }
  }
  const text = raw.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text.includes('\uFFFD') ? { bytes: raw.length } : text
  }
}

const shownField = (value: File | string): unknown =>
  typeof value === 'string' ? value : { name: value.name, type: value.type, bytes: value.size }
