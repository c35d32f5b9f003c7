import type { Allowance, CreateAllowance, Health } from '../description/health.ts'
import type { Job, WaitingFor } from '../description/jobs.ts'
import { CONDITIONS, type Condition } from '../../shared/conditions/rules/condition.ts'
import type { Conditions } from '../../shared/conditions/conditions.ts'
import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import {
  AT_RISK_MS,
  pauseOfAll,
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
import { sumOf } from '../../shared/values/sum.ts'
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
  /** The accounts, with their read budgets. */
  accounts: readonly { name: string; reads: Rate & { free: () => Promise<number> } }[]
}

/** Size of the sample of waiting jobs, and number of tenants that it is taken from. */
const LOOKED_AT = 200
const TENANTS = 50

/** `/v1/health`: state of the whole deployment, for an operator's page. */
export function healthReportRoutes(dependencies: HealthReportDependencies): Route[] {
  const { store, tenants, show, metrics, conditions, webhooks, accounts } = dependencies

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

  async function figuresOf({ name, reads }: HealthReportDependencies['accounts'][number]) {
    const [open, silent, creates, readsFree, pause, unknown] = await Promise.all([
      store.openPredictions(name),
      store.webhooksSilent(name),
      store.createRate(name),
      reads.free(),
      store.pause(name),
      store.unknownAttempts(name),
    ])
    return { name, open, silent, creates, reads: { ...reads, free: readsFree }, pause, unknown: unknown.length }
  }

  async function report(): Promise<Health> {
    const [counts, figures, waits, atRisk, lasting] = await Promise.all([
      store.counts(),
      Promise.all(accounts.map(figuresOf)),
      waiting(),
      store.artifactsAtRisk(AT_RISK_MS),
      conditions.all(),
    ])
    const pause = pauseOfAll(figures.map((one) => one.pause))
    const { counters, due, overdue } = counts
    return {
      jobs: counts.phases,
      predictions_open: sumOf(figures, ({ open }) => open),
      finished_by: withPrefix(counters, 'finished_by:'),
      webhooks: {
        expected: webhooks(),
        silent: figures.some(({ silent }) => silent),
        latency: latencyOf(metrics.webhookLatencies()),
        dead_letters: counts.deadLetters,
      },
      budget: {
        creates: createAllowance(allCreates(figures.map(({ creates }) => creates))),
        reads: {
          per_minute: sumOf(figures, ({ reads }) => reads.perMinute),
          burst: sumOf(figures, ({ reads }) => reads.burst),
          free: sumOf(figures, ({ reads }) => reads.free),
        },
      },
      pause: pause && pauseView(pause),
      accounts: figures.map((one) => ({
        name: one.name,
        predictions_open: one.open,
        webhooks_silent: one.silent,
        budget: { creates: createAllowance(one.creates), reads: allowance(one.reads, one.reads.free) },
        pause: one.pause && pauseView(one.pause),
        outcomes_unknown: one.unknown,
      })),
      conditions: lasting.map(conditionView),
      waiting: waits,
      artifacts_at_risk: atRisk,
      outcomes_unknown: sumOf(figures, ({ unknown }) => unknown),
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

/** The rates of all accounts together. */
const allCreates = (rates: readonly CreateRate[]): CreateRate => ({
  perMinute: sumOf(rates, ({ perMinute }) => perMinute),
  burst: sumOf(rates, ({ burst }) => burst),
  free: sumOf(rates, ({ free }) => free),
  ceiling: sumOf(rates, ({ ceiling }) => ceiling),
  quietSince: rates.reduce<number | null>(
    (last, { quietSince }) => (quietSince === null ? last : Math.max(quietSince, last ?? 0)),
    null,
  ),
  throttled: sumOf(rates, ({ throttled }) => throttled),
  probing: sumOf(rates, ({ probing }) => probing),
})

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
