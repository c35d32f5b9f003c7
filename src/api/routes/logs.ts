import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Route } from '../http.ts'
import type { ModelLogs } from '../model-logs.ts'
import { createOwnedJob } from '../owned.ts'

export function logRoutes(store: JobReader, logsOf: ModelLogs): Route[] {
  const owned = createOwnedJob(store)
  return [
    {
      method: 'GET',
      path: '/v1/jobs/:id/logs',
      scope: 'jobs:read',
      handle: async (request) => ({ status: 200, body: await logsOf(await owned(request)) }),
    },
  ]
}
