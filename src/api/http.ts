import type { Readable } from 'node:stream'
import type { Problem } from './description/problem.ts'
import type { Scope } from '../shared/tenants/rules/tenant.ts'
import type { BodyShare } from './body-budget.ts'
import type { Principal } from './principal.ts'

/** Request for handlers: plain values, no Express. */
export interface ApiRequest {
  method: string
  path: string
  params: Record<string, string>
  query: URLSearchParams
  /** Lower-case names. */
  headers: Record<string, string | undefined>
  /** The parsed JSON body; undefined without one. */
  body: unknown
  /** Client for throttling: an IPv4 address, or the network of an IPv6 address. */
  ip: string
  /** Host and port by which the client addressed this service. */
  host: string | undefined
  /** Whether the client uses https; its cookies are `Secure` then. */
  secure: boolean
  /** Whether a trusted proxy forwarded it. */
  proxied: boolean
  /** Aborts when the client disconnects. */
  gone: () => AbortSignal
  /** Resolves when the response has ended: true when all of it was handed to the socket, false when the client left before. */
  sent: () => Promise<boolean>
}

/** Authorized request: `principal` is checked before the handler runs. */
export interface OwnedRequest extends ApiRequest {
  principal: Principal
  /** Releases the budget of the body before the response, for handlers that wait. */
  bodyDone?: () => void
}

export type ApiResponse =
  | { status: number; headers?: Record<string, string>; body?: unknown }
  | { status: number; headers: Record<string, string>; stream: Readable }
  | { events: EventSource }

export interface ProblemResponse {
  status: number
  headers: Record<string, string>
  body: Problem
}

export interface ServerEvent {
  id: string
  event: string
  /** An object is sent as JSON, a text as it is. */
  data: object | string
}

/** Starts sending; returns a function that stops it. `send` resolves when the reader has taken the event, or left. `end` closes the stream. */
export type EventSource = (send: (event: ServerEvent) => Promise<void>, end: () => void) => () => void

export interface BodyLimits {
  bytes: number
  /** Limit of bytes outside of strings that begin with `data:`. */
  besideFiles?: number
  /** Limit of values: objects, arrays and their members. */
  values: number
}

/** Request whose body the handler reads itself, within the budget of its tenant. */
export type StreamedRequest = OwnedRequest & { stream: Readable; share: BodyShare; idleMs: number }

/** Properties of every route. */
interface RouteBase {
  path: string
  /**
   * Names of its query parameters; none by default. The route table refuses any other one (422) below `/v1`, so that no
   * parameter is silently ignored. A job token in the query is removed before.
   */
  query?: readonly string[]
}

/** Route as data. `scope` null: public, or checked by the handler itself. */
export type Route = RouteBase &
  (
    | {
        method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
        scope: Scope
        streams?: undefined
        /** Limits of its body; default: those of a single job. */
        body?: BodyLimits
        /** Checks the request before it is authenticated; throws to refuse it. */
        before?: (request: ApiRequest) => void
        /** Accepts job tokens; the handler checks each object (owned.ts). */
        tokenOpens?: true
        handle: (request: OwnedRequest) => Promise<ApiResponse>
      }
    | {
        /** A read with a body: a short text, which is the `body` of the request. */
        method: 'QUERY'
        scope: Scope
        streams?: undefined
        body?: undefined
        tokenOpens?: undefined
        handle: (request: OwnedRequest) => Promise<ApiResponse>
      }
    | {
        method: 'POST'
        scope: Scope
        /** The handler reads the body itself. */
        streams: true
        handle: (request: StreamedRequest) => Promise<ApiResponse>
      }
    | {
        method: 'GET' | 'POST' | 'DELETE'
        scope: null
        streams?: undefined
        /** Has a small body of a few fields. */
        body?: undefined
        /** Its body, whatever it is, is not read: everything is in the URL. */
        ignoresBody?: true
        /** Checks the request before its body is read; throws to refuse it. */
        before?: (request: ApiRequest) => void
        handle: (request: ApiRequest) => Promise<ApiResponse>
      }
  )
