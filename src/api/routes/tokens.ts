import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Auth } from '../auth.ts'
import type { ReadToken } from '../description/tenants.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { createOwnedJob } from '../owned.ts'
import { parseWith } from '../schemas.ts'
import { tokenRequestSchema } from '../../shared/tenants/rules/tenant-requests.ts'

/** Response with a token for a job or batch; the caller has checked that the principal may read it. */
export function answerToken(auth: Auth, { body, principal }: OwnedRequest, subject: string): ApiResponse {
  const { expires_in } = parseWith(tokenRequestSchema, body ?? {})
  const { token, expires } = auth.issueToken(principal, subject, expires_in)
  const opened: ReadToken = { token, expires_at: new Date(expires * 1000).toISOString() }
  return { status: 200, body: opened }
}

/** Tokens with which a browser can watch one job without a key. */
export function tokenRoutes(store: JobReader, auth: Auth): Route[] {
  const owned = createOwnedJob(store)
  return [
    {
      method: 'POST',
      path: '/v1/jobs/:id/token',
      scope: 'jobs:read',
      handle: async (request) => {
        const { id } = await owned(request)
        return answerToken(auth, request, id)
      },
    },
  ]
}
