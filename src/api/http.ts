import type { Readable } from 'node:stream'
import type { Problem } from '../client/types.ts'
import type { Scope } from '../shared/tenants/tenant.ts'
import type { BodyShare } from './body-room.ts'
import type { Principal } from './auth.ts'

/** A request as handlers see it: plain values, no Express. */
export interface ApiRequest {
  method: string
  path: string
  params: Record<string, string>
  query: URLSearchParams
  /** Lower-case names. */
  headers: Record<string, string | undefined>
  /** The parsed JSON body; undefined without one. */
  body: unknown
  /** Where it comes from, for throttling: an IPv4 address, or the network of an IPv6 address. */
  ip: string
  /** Host and port of this service as the client named them. */
  host: string | undefined
  /** Whether the client speaks https: its cookies are `Secure`. */
  secure: boolean
  /** Whether a trusted proxy passed it on. */
  proxied: boolean
  /** Aborts when the connection ends: nobody waits for the answer any more. */
  gone: () => AbortSignal
}

/** A request of somebody who may: `principal` is checked before the handler runs. */
export interface OwnedRequest extends ApiRequest {
  principal: Principal
  /** What was made of the body is not needed any more, and others may have the room that it took: long before an answer that waits. */
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
  data: object
}

/** Starts sending; answers how to stop. `send` resolves when the reader has taken it, or left. `end` closes the stream. */
export type EventSource = (send: (event: ServerEvent) => Promise<void>, end: () => void) => () => void

export interface BodyLimits {
  bytes: number
  /** So many of them may stand outside of texts that begin with `data:`. */
  besideFiles?: number
  /** Objects, arrays and what stands between their commas. */
  values: number
}

/** A request whose body the handler reads itself, within the room of its tenant. */
export type StreamedRequest = OwnedRequest & { stream: Readable; room: BodyShare; idleMs: number }

/** What every route says. */
interface RouteBase {
  path: string
  /**
   * The names of its query parameters; none by default. The route table refuses every other one (422) below `/v1`, so that
   * nothing that a client asks for is ignored. A job token in the query is taken out before.
   */
  query?: readonly string[]
}

/** A route as data. `scope` null: open to everyone, or checked by the handler itself. */
export type Route = RouteBase &
  (
    | {
        method: 'GET' | 'POST' | 'DELETE'
        scope: Scope
        streams?: undefined
        /** What its body may be; otherwise that of a plain job. */
        body?: BodyLimits
        /** A job token opens it: the handler shows nothing that `mayOpen` refuses. */
        tokenOpens?: true
        handle: (request: OwnedRequest) => Promise<ApiResponse>
      }
    | {
        method: 'POST'
        scope: Scope
        /** The handler reads the body, whatever it is. */
        streams: true
        handle: (request: StreamedRequest) => Promise<ApiResponse>
      }
    | {
        method: 'GET' | 'POST' | 'DELETE'
        scope: null
        streams?: undefined
        /** Its body may be no more than a few fields. */
        body?: undefined
        /** Judges the request before anything of its body is read; throws what refuses it. */
        before?: (request: ApiRequest) => void
        handle: (request: ApiRequest) => Promise<ApiResponse>
      }
  )
