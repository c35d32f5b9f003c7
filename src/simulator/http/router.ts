import type { IncomingHttpHeaders } from 'node:http'
import type { Reply } from './reply.ts'

/** The request that handlers get. */
export interface SimulatorRequest {
  method: string
  path: string
  /** The named parts of the path, decoded. */
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  headers: IncomingHttpHeaders
  /** The user name of the token's account; empty where no token is needed. */
  account: string
  /** Scheme, host and port that the client used. */
  origin: string
  /** Reads the raw body on demand. */
  readBody(limit: number): Promise<Buffer | 'too large'>
}

export type Handler = (request: SimulatorRequest) => Reply | Promise<Reply>

export interface Route {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'QUERY'
  /** `:name` stands for one part of the path. */
  path: string
  handler: Handler
}

/** `allowed`: the path exists, with other methods. */
export type Match = { handler: Handler; params: Record<string, string> } | { allowed: string[] } | null

export function createRouter(routes: readonly Route[]): (method: string, path: string) => Match {
  const compiled = routes.map((route) => ({ ...route, parts: route.path.split('/') }))
  return (method, path) => {
    const parts = path.replace(/(.)\/$/, '$1').split('/')
    const allowed = new Set<string>()
    for (const route of compiled) {
      const params = matchParts(route.parts, parts)
      if (params === null) continue
      if (route.method === method || (method === 'HEAD' && route.method === 'GET'))
        return { handler: route.handler, params }
      allowed.add(route.method)
      if (route.method === 'GET') allowed.add('HEAD')
    }
    return allowed.size > 0 ? { allowed: [...allowed] } : null
  }
}

function matchParts(pattern: readonly string[], parts: readonly string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null
  const params: Record<string, string> = {}
  for (const [i, expected] of pattern.entries()) {
    const part = decoded(parts[i] ?? '')
    if (expected.startsWith(':')) {
      if (part === null || part === '') return null
      params[expected.slice(1)] = part
    } else if (part !== expected) return null
  }
  return params
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}
