import { runChecks, type HealthCheck } from '../../shared/process/health.ts'
import type { Metrics } from '../../shared/metrics/metrics.ts'
import type { Route } from '../http.ts'

export interface HealthRoutesOptions {
  version: string
  checks: Record<string, HealthCheck>
  metrics: Metrics
}

/** `/livez`: the event loop runs. `/readyz`: whether it can accept work, with reasons. `/metrics`: for Prometheus. */
export function healthRoutes({ version, checks, metrics }: HealthRoutesOptions): Route[] {
  return [
    {
      method: 'GET',
      path: '/livez',
      scope: null,
      handle: async () => ({ status: 200, body: { status: 'ok', version } }),
    },
    {
      method: 'GET',
      path: '/readyz',
      scope: null,
      handle: async () => {
        const { ready, checks: results } = await runChecks(checks)
        return { status: ready ? 200 : 503, body: { status: ready ? 'ready' : 'not_ready', version, checks: results } }
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      scope: null,
      handle: async () => ({
        status: 200,
        headers: { 'content-type': metrics.contentType },
        body: await metrics.render(),
      }),
    },
  ]
}
