import type { Request } from 'express'
import { readArrival, type ArrivalRules } from './arrival.ts'
import type { ApiRequest } from './http.ts'
import { clientNetwork } from './throttle.ts'

/** Converts a request of Express, without its body. */
export function readRequest(request: Request, rules: ArrivalRules): ApiRequest {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
  for (const name of ['authorization', 'host']) headers[name] = everyValue(request, name)
  const { socket } = request
  const peer = socket.remoteAddress ?? ''
  const { address, host, secure, proxied } = readArrival({ peer, encrypted: 'encrypted' in socket, headers }, rules)
  const at = request.originalUrl.indexOf('?')
  return {
    method: request.method,
    path: request.path,
    params: Object.fromEntries(Object.entries(request.params).map(([name, value]) => [name, String(value)])),
    query: new URLSearchParams(at === -1 ? '' : request.originalUrl.slice(at)),
    headers,
    body: undefined,
    ip: clientNetwork(address),
    host,
    secure,
    proxied,
    gone: () => goneSignal(request),
  }
}

function goneSignal({ res }: Request): AbortSignal {
  const gone = new AbortController()
  if (res?.destroyed) gone.abort()
  else res?.once('close', () => gone.abort())
  return gone.signal
}

/** Whether a request has two Host headers, of which servers and proxies may choose different ones. */
export const namesTwoHosts = ({ rawHeaders }: Request): boolean =>
  rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length > 1

/** Joins repeated headers: Node keeps only the first one, and an intermediary may have used another. */
function everyValue({ rawHeaders }: Request, name: string): string | undefined {
  const values = rawHeaders.filter((_value, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
  return values.length === 0 ? undefined : values.join(', ')
}
