import type { Redis } from 'ioredis'
import { runAudit, type AuditOptions, type AuditReport, type Finding } from '../../src/shared/audit/audit.ts'
import { createRedisAuditSource } from '../../src/shared/audit/redis-audit-source.ts'
import { createRedisLedgerSource } from '../../src/shared/credits/redis-ledger-source.ts'
import type { Rate } from '../../src/shared/limits/rules/budget.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { loadDeployment } from '../../src/shared/redis/deployment.ts'
import { createReplicateAdapter } from '../../src/shared/replicate/replicate-adapter.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { listAll } from '../../src/workers/list-window.ts'
import type { TestService } from './start-service.ts'

export type Auditable = Omit<AuditOptions, 'source' | 'ledgers' | 'accounts'> & {
  redis: Redis
  /** The budget of the account `default`. */
  creates?: Rate
  accounts?: AuditOptions['accounts']
}

/** The report of an audit; over a separate connection, because it watches keys while it repairs. */
export async function auditReport({ redis, creates, ...options }: Auditable): Promise<AuditReport> {
  const own = redis.duplicate()
  try {
    return await runAudit({
      accounts: { default: creates ?? null },
      ...options,
      source: createRedisAuditSource({ redis: own, keys: options.keys }),
      ledgers: createRedisLedgerSource({ redis: own, keys: options.keys }),
    })
  } finally {
    own.disconnect()
  }
}

/** The broken invariants of a deployment; none when it is healthy. */
export const auditDeployment = async (options: Auditable): Promise<Finding[]> => (await auditReport(options)).findings

/** All that the simulator lists, with the deployment's tokens: the `upstream` of an audit. */
export async function simulatorBooks(
  service: Pick<TestService, 'redis' | 'keys'> & { simulator: { apiUrl: string } },
): Promise<NonNullable<AuditOptions['upstream']>> {
  const { id, keys } = await loadDeployment(service.redis, service.keys.deployment)
  return {
    tokens: createWebhookTokens({ deployment: id, keys, publicUrl: () => null }),
    async list() {
      const { apiUrl } = service.simulator
      const upstream = createReplicateAdapter({ ...DEFAULT_TIMINGS, token: 'auditor', baseUrl: apiUrl })
      const reads = { take: () => Promise.resolve() }
      const window = { after: Date.now() - DEFAULT_TIMINGS.outputLifetime, before: Date.now() + 60_000 }
      try {
        const listed = await listAll({ upstream, reads }, window, new AbortController().signal)
        if (listed.kind === 'incomplete')
          throw new Error(`the simulator could not be listed: ${listed.failure.message}`)
        return listed.predictions
      } finally {
        await upstream.close()
      }
    },
  }
}
