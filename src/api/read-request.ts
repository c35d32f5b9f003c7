import type { Request } from 'express'
import { readArrival, type ArrivalRules } from './arrival.ts'
import type { ApiRequest } from './http.ts'
import { clientNetwork } from './throttle.ts'

/** Converts a request of Express, without its body. */
export function readRequest(request: Request, rules: ArrivalRules): ApiRequest {
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value
  for (const name of ['authorization', 'host'])
    if (headers[name] !== undefined) headers[name] = everyValue(request, name)
  const { socket } = request
  const peer = socket.remoteAddress ?? ''
  const { address, host, secure, proxied } = readArrival({ peer, encrypted: 'encrypted' in socket, headers }, rules)
  const at = request.originalUrl.indexOf('?')
  return {
    method: request.method,
    path: request.path,
    params: paramsOf(request),
    query: new URLSearchParams(at === -1 ? '' : request.originalUrl.slice(at)),
    headers,
    body: undefined,
    ip: clientNetwork(address),
    host,
    secure,
    proxied,
    gone: () => goneSignal(request),
    sent: () => wholeAnswer(request),
  }
}

function paramsOf({ params }: Request): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(params)) texts[name] = String(value)
  return texts
}

function goneSignal({ res }: Request): AbortSignal {
  const gone = new AbortController()
  if (res?.destroyed) gone.abort()
  else res?.once('close', () => gone.abort())
  return gone.signal
}

async function wholeAnswer({ res }: Request): Promise<boolean> {
  if (!res || res.destroyed) return res?.writableFinished ?? false
  return new Promise((resolve) => {
    res.once('finish', () => resolve(true))
    res.once('close', () => resolve(res.writableFinished))
  })
}

/** Whether a request has two Host headers, of which servers and proxies may choose different ones. */
export const namesTwoHosts = ({ rawHeaders }: Request): boolean => valuesOf(rawHeaders, 'host').length > 1

/** Joins repeated headers: Node keeps only the first one, and an intermediary may have used another. */
function everyValue({ rawHeaders }: Request, name: string): string | undefined {
  const values = valuesOf(rawHeaders, name)
  return values.length === 0 ? undefined : values.join(', ')
}

/** `rawHeaders`: names and values in turn. */
function valuesOf(rawHeaders: readonly string[], wanted: string): string[] {
  const values: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    if (name.length === wanted.length && name.toLowerCase() === wanted) values.push(rawHeaders[at + 1] ?? '')
  }
  return values
}
