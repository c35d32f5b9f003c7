import { createClient } from '../../src/client/client.ts'
import type { Job, Problem } from '../../src/client/types.ts'
import { finished } from './finished.ts'
import { sessionCookie } from './session-cookie.ts'
import { TEST_KEY, type TestService } from './start-service.ts'

export interface Answer<T> {
  status: number
  headers: Headers
  body: T & Omit<Problem, 'status'>
}

export interface Asked {
  /** null: no key is sent; the development key otherwise. */
  key?: string | null
  method?: string
  /** Sent as JSON, by POST. */
  body?: unknown
  headers?: Record<string, string>
  at?: Pick<TestService, 'url'>
}

export interface KeyBody {
  id: string
  key: string
  scopes: string[]
  state: string
  expires_at: string | null
  last_used_at: string | null
  replaced_by: string | null
}

export interface KeyList {
  data: KeyBody[]
}

/** Status and code of an answer. */
export const code = ({ status, body }: Answer<unknown>): [number, string] => [status, body.code]

/** What an operator does, and what the keys that he makes can do. */
export function createOperator(service: TestService) {
  let made = 0

  async function ask<T = unknown>(path: string, asked: Asked = {}): Promise<Answer<T>> {
    const { key = TEST_KEY, body, method = body === undefined ? 'GET' : 'POST', at = service } = asked
    const response = await fetch(new URL(path, at.url), {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...asked.headers,
      },
    })
    const isJson = (response.headers.get('content-type') ?? '').includes('json')
    if (!isJson) await response.body?.cancel()
    const text = isJson ? await response.text() : '{}'
    return { status: response.status, headers: response.headers, body: JSON.parse(text) as Answer<T>['body'] }
  }

  /** The body of an answer that must have this status. */
  async function get<T>(status: number, path: string, asked: Asked = {}): Promise<T> {
    const answer = await ask<T>(path, asked)
    if (answer.status !== status) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  return {
    ask,

    async newTenant(limits: object = {}): Promise<string> {
      const id = `tenant-${++made}`
      await get(201, '/v1/admin/tenants', { body: { id, limits } })
      return id
    },

    newKey: (tenant: string, body: object = {}): Promise<KeyBody> =>
      get(201, `/v1/admin/tenants/${tenant}/keys`, { body }),

    revoke: (tenant: string, id: string): Promise<unknown> =>
      get(204, `/v1/admin/tenants/${tenant}/keys/${id}`, { method: 'DELETE' }),

    submit: async (key: string, request: object): Promise<string> =>
      (await get<Job>(202, '/v1/jobs', { key, body: request })).id,

    finished: (key: string, id: string): Promise<Job> =>
      finished({ client: createClient({ baseUrl: service.url, key }) }, id),

    tokenFor: async (key: string, job: string, body: object = {}): Promise<string> =>
      (await get<{ token: string }>(200, `/v1/jobs/${job}/token`, { key, body })).token,

    /** The headers of a browser that has signed in with a key. */
    async sessionOf(key: string): Promise<Record<string, string>> {
      const origin = service.url
      const { name, value } = await sessionCookie(origin, key)
      return { cookie: `${name}=${value}`, origin }
    },
  }
}

export type Operator = ReturnType<typeof createOperator>
