import { unprocessable } from '../http/problem.ts'
import { empty, json, type Reply } from '../http/reply.ts'
import type { Handler, Route } from '../http/router.ts'
import { stubSchema } from '../stubs.ts'
import { fieldsOf, withJson } from './json-body.ts'
import type { Services } from './services.ts'

/** `/_sim/stubs` and `/_sim/requests`: what tests of other processes and languages decide and look at. */
export function kitRoutes({ requests, stubs }: Services): Route[] {
  const ofToken =
    (handle: (token: string | undefined) => Reply): Handler =>
    ({ query }) =>
      handle(query.get('token') ?? undefined)
  return [
    {
      method: 'POST',
      path: '/_sim/stubs',
      handler: withJson((body) => {
        const parsed = stubSchema.safeParse(body)
        if (!parsed.success) return unprocessable('Invalid stub', fieldsOf(parsed.error))
        return json(201, stubs.add(parsed.data))
      }),
    },
    { method: 'GET', path: '/_sim/stubs', handler: ofToken((token) => json(200, stubs.all(token))) },
    {
      method: 'DELETE',
      path: '/_sim/stubs',
      handler: ofToken((token) => {
        stubs.clear(token)
        return empty(204)
      }),
    },
    { method: 'GET', path: '/_sim/requests', handler: ofToken((token) => json(200, requests.all(token))) },
    {
      method: 'DELETE',
      path: '/_sim/requests',
      handler: ofToken((token) => {
        requests.clear(token)
        return empty(204)
      }),
    },
  ]
}
