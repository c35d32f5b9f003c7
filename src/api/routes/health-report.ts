import type { Allowance, CreateAllowance, Health } from '../description/health.ts'
import type { Job, WaitingFor } from '../description/jobs.ts'
import { CONDITIONS, type Condition } from '../../shared/conditions/rules/condition.ts'
import type { Conditions } from '../../shared/conditions/conditions.ts'
import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import {
  AT_RISK_MS,
  type CreateRate,
  type CreateRates,
  type CreationPause,
  type JobFigures,
  type JobFinder,
  type Pause,
  type PredictionIndex,
  type WebhookSilence,
} from '../../shared/jobs/ports.ts'
import { shownRate, type Rate } from '../../shared/limits/rules/budget.ts'
import type { Metrics } from '../../shared/metrics/metrics.ts'
import type { TenantAdmin } from '../../shared/tenants/tenant-admin.ts'
import type { Route } from '../http.ts'

export interface HealthReportDependencies {
  store: JobFigures &
    Pick<JobFinder, 'list'> &
    Pick<PredictionIndex, 'unknownAttempts'> &
    Pick<WebhookSilence, 'webhooksSilent'> &
    CreationPause &
    CreateRates
  tenants: Pick<TenantAdmin, 'tenants'>
  show: (job: JobRecord) => Promise<Job>
  metrics: Pick<Metrics, 'webhookLatencies'>
  conditions: Pick<Conditions, 'all'>
  /** Whether Replicate can reach this service. */
  webhooks: () => boolean
  account: string
  reads: Rate & { free: () => Promise<number> }
}

/** Size of the sample of waiting jobs, and number of tenants that it is taken from. */
const LOOKED_AT = 200
const TENANTS = 50

/** `/v1/health`: state of the whole deployment, for an operator's page. */
export function healthReportRoutes(dependencies: HealthReportDependencies): Route[] {
  const { store, tenants, show, metrics, conditions, webhooks, account, reads } = dependencies

  /** Waiting reasons from a sample of waiting jobs, because reasons are momentary and not stored. */
  async function waiting(): Promise<Health['waiting']> {
    const known = await tenants.tenants({ limit: TENANTS })
    const limit = Math.max(1, Math.floor(LOOKED_AT / known.length))
    const lists = await Promise.all(known.map(({ id }) => store.list(id, { status: 'queued', limit })))
    const jobs = lists.flatMap((list) => list.jobs)
    const counts = new Map<WaitingFor['reason'], number>()
    for (const { waiting_for } of await Promise.all(jobs.map(show)))
      if (waiting_for) counts.set(waiting_for.reason, (counts.get(waiting_for.reason) ?? 0) + 1)
    const reasons = [...counts].map(([reason, count]) => ({ reason, jobs: count }))
    return { looked_at: jobs.length, reasons: reasons.sort((a, b) => b.jobs - a.jobs) }
  }

  async function report(): Promise<Health> {
    const [counts, open, silent, creates, readsFree, pause, waits, atRisk, unknown, lasting] = await Promise.all([
      store.counts(),
      store.openPredictions(account),
      store.webhooksSilent(account),
      store.createRate(account),
      reads.free(),
      store.pause(account),
      waiting(),
      store.artifactsAtRisk(AT_RISK_MS),
      store.unknownAttempts(account),
      conditions.all(),
    ])
    const { counters, due, overdue } = counts
    return {
      jobs: counts.phases,
      predictions_open: open,
      finished_by: withPrefix(counters, 'finished_by:'),
      webhooks: {
        expected: webhooks(),
        silent,
        latency: latencyOf(metrics.webhookLatencies()),
        dead_letters: counts.deadLetters,
      },
      budget: { creates: createAllowance(creates), reads: allowance(reads, readsFree) },
      pause: pause && pauseView(pause),
      conditions: lasting.map(conditionView),
      waiting: waits,
      artifacts_at_risk: atRisk,
      outcomes_unknown: unknown.length,
      orphan_predictions: counters['orphan_predictions'] ?? 0,
      due: { waiting: due - overdue, overdue },
    }
  }

  return [
    {
      method: 'GET',
      path: '/v1/health',
      scope: 'admin',
      handle: async () => ({ status: 200, body: await report() }),
    },
  ]
}

const allowance = ({ perMinute, burst }: Rate, free: number): Allowance => ({ per_minute: perMinute, burst, free })

const createAllowance = (rate: CreateRate): CreateAllowance => ({
  ...allowance({ ...rate, perMinute: shownRate(rate.perMinute) }, rate.free),
  ceiling: rate.ceiling,
  quiet_since: rate.quietSince === null ? null : new Date(rate.quietSince).toISOString(),
  throttled: rate.throttled,
  throttled_probing: rate.probing,
})

const pauseView = ({ reason, until }: Pause): NonNullable<Health['pause']> => ({
  reason,
  until: until === null ? null : new Date(until).toISOString(),
})

const conditionView = ({ name, detail, since, processes }: Condition): Health['conditions'][number] => ({
  name,
  title: `${CONDITIONS[name].begins}.`,
  detail,
  since: new Date(since).toISOString(),
  processes,
  stops_creation: CONDITIONS[name].stopsCreation,
})

const withPrefix = (counters: Record<string, number>, prefix: string): Record<string, number> =>
  Object.fromEntries(
    Object.entries(counters).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  )

function latencyOf(seconds: readonly number[]): Health['webhooks']['latency'] {
  if (seconds.length === 0) return null
  const sorted = seconds.toSorted((a, b) => a - b)
  const quantile = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0
  return { count: sorted.length, p50: quantile(0.5), p90: quantile(0.9), max: quantile(1) }
}
