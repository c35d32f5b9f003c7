import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { CONDITION_NAMES } from '../conditions/rules/condition.ts'
import type { Conditions } from '../conditions/conditions.ts'
import {
  pauseOfAll,
  type Pause,
  AT_RISK_MS,
  type CreateRates,
  type CreationPause,
  type JobFigures,
  type PredictionIndex,
} from '../jobs/ports.ts'
import { sumOf } from '../values/sum.ts'
import type { NotificationStore } from '../notifications/ports.ts'
import { metricsOfGroup } from '../process/group-member.ts'

export type QueueCounts = () => Promise<Record<string, Record<string, number>>>

/** Number of kept latencies: enough for a 99th percentile. */
const KEEP_LATENCIES = 500

/**
 * Metrics of one process or of all processes of its group, and metrics that the deployment shares, read from Redis at each
 * scrape. Labels are few and fixed: never an id, a model or a key.
 */
export function createMetrics(options: {
  store: JobFigures & Pick<PredictionIndex, 'unknownAttempts'> & CreationPause & CreateRates
  queueCounts: QueueCounts
  /** Names of the accounts. */
  accounts: readonly string[]
  conditions: Pick<Conditions, 'all'>
  notifications: Pick<NotificationStore, 'figures'>
  /** Set in a process that has presets. */
  driftedPresets?: () => number
}) {
  /** Of this process. */
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const ofGroup = metricsOfGroup(registry)
  /** Read from Redis, by the process that renders them. */
  const common = new Registry()
  const { store, queueCounts, accounts, conditions, notifications } = options

  const shared = { registers: [common] }
  const own = { registers: [registry] }
  const jobs = new Gauge({ name: 'genqueue_jobs', help: 'Stored jobs, by phase', labelNames: ['phase'], ...shared })
  const finished = new Counter({
    name: 'genqueue_jobs_finished_total',
    help: 'Jobs that became final, by status',
    labelNames: ['status'],
    ...shared,
  })
  const finishedBy = new Counter({
    name: 'genqueue_finished_by_total',
    help: 'Jobs by how their completion was detected',
    labelNames: ['source'],
    ...shared,
  })
  const orphans = new Counter({
    name: 'genqueue_orphan_predictions_total',
    help: 'Predictions of this service that no job needs; the goal is 0',
    ...shared,
  })
  const open = new Gauge({ name: 'genqueue_predictions_open', help: 'Predictions in flight', ...shared })
  const accountOpen = new Gauge({
    name: 'genqueue_account_predictions_open',
    help: 'Predictions in flight, by account',
    labelNames: ['account'],
    ...shared,
  })
  const accountPaused = new Gauge({
    name: 'genqueue_account_paused_seconds',
    help: 'Seconds until creation resumes in an account; 1 while it is probed',
    labelNames: ['account'],
    ...shared,
  })
  const accountRate = new Gauge({
    name: 'genqueue_account_creates_per_minute',
    help: 'Creates per minute that are allowed now, by account',
    labelNames: ['account'],
    ...shared,
  })
  const due = new Gauge({ name: 'genqueue_due', help: 'Entries of the due index', labelNames: ['state'], ...shared })
  const line = new Gauge({ name: 'genqueue_line_jobs', help: 'Jobs in line for a worker', ...shared })
  const paused = new Gauge({
    name: 'genqueue_creation_paused_seconds',
    help: 'Seconds until creation resumes; 1 while a recovery probe is running',
    ...shared,
  })
  const createRate = new Gauge({
    name: 'genqueue_create_rate_per_minute',
    help: 'Creates per minute that are allowed now; below the ceiling after 429s',
    ...shared,
  })
  const createCeiling = new Gauge({
    name: 'genqueue_create_ceiling_per_minute',
    help: 'The most creates per minute: the configured budget, or what an operator set',
    ...shared,
  })
  const throttled = new Counter({
    name: 'genqueue_creates_throttled_total',
    help: 'Creates that Replicate refused with 429, by whether a higher rate was being tried',
    labelNames: ['probing'],
    ...shared,
  })
  const atRisk = new Gauge({
    name: 'genqueue_artifacts_at_risk',
    help: 'Outputs that are not copied yet and that Replicate removes within 15 minutes',
    ...shared,
  })
  const unknown = new Gauge({
    name: 'genqueue_outcomes_unknown',
    help: 'Create requests with an unknown outcome',
    ...shared,
  })
  const letters = new Gauge({
    name: 'genqueue_dead_letters',
    help: 'Webhooks with a valid signature that could not be applied, and damaged queue entries',
    ...shared,
  })
  const queue = new Gauge({
    name: 'genqueue_queue_jobs',
    help: 'Doorbells in BullMQ, by queue and state',
    labelNames: ['queue', 'state'],
    ...shared,
  })

  const sent = new Counter({
    name: 'genqueue_notification_attempts_total',
    help: 'Attempts to send a notification, by outcome',
    labelNames: ['outcome'],
    ...shared,
  })
  const firstAttempts = new Counter({
    name: 'genqueue_notification_first_attempts_total',
    help: 'First attempts to send a notification, by the seconds since its event: fewer than `within`',
    labelNames: ['within'],
    ...shared,
  })
  const lossy = new Counter({
    name: 'genqueue_notification_progress_total',
    help: 'Best-effort events, which are sent once, by outcome',
    labelNames: ['outcome'],
    ...shared,
  })
  const owed = new Gauge({
    name: 'genqueue_notifications',
    help: 'Notifications that are not over, by state',
    labelNames: ['state'],
    ...shared,
  })
  const oldestOwed = new Gauge({
    name: 'genqueue_notification_oldest_seconds',
    help: 'Age of the oldest pending notification',
    ...shared,
  })
  const late = new Gauge({
    name: 'genqueue_notifications_late_seconds',
    help: 'For how long notifications could have been sent that wait for a worker',
    ...shared,
  })
  const disabled = new Gauge({ name: 'genqueue_endpoints_disabled', help: 'Endpoints that are disabled', ...shared })

  const condition = new Gauge({
    name: 'genqueue_condition',
    help: 'Processes that report a condition that delays the deployment; 0 when the condition is over',
    labelNames: ['name'],
    ...shared,
  })

  const { driftedPresets } = options
  const drifted =
    driftedPresets &&
    new Gauge({
      name: 'genqueue_preset_schema_drift',
      help: 'Presets that were written for another schema than their model has now',
      aggregator: 'max',
      collect() {
        this.set(driftedPresets())
      },
      registers: [],
    })
  const processes = new Gauge({
    name: 'genqueue_processes',
    help: 'Processes whose figures these are; 1 without a group',
    collect() {
      this.set(1)
    },
    registers: [],
  })
  for (const gauge of drifted ? [drifted, processes] : [processes]) registry.registerMetric(gauge)

  async function figuresOf(name: string) {
    const [inFlight, pause, rate, unknowns] = await Promise.all([
      store.openPredictions(name),
      store.pause(name),
      store.createRate(name),
      store.unknownAttempts(name),
    ])
    return { name, inFlight, pause, rate, unknowns: unknowns.length }
  }

  async function readShared(): Promise<void> {
    const [counts, figures, queues, risk, lasting, notices] = await Promise.all([
      store.counts(),
      Promise.all(accounts.map(figuresOf)),
      queueCounts(),
      store.artifactsAtRisk(AT_RISK_MS),
      conditions.all(),
      notifications.figures(),
    ])
    createRate.set(sumOf(figures, ({ rate }) => rate.perMinute))
    createCeiling.set(sumOf(figures, ({ rate }) => rate.ceiling))
    const refused = sumOf(figures, ({ rate }) => rate.throttled)
    const probing = sumOf(figures, ({ rate }) => rate.probing)
    throttled.reset()
    throttled.inc({ probing: 'no' }, refused - probing)
    throttled.inc({ probing: 'yes' }, probing)
    for (const { name: account, inFlight, pause, rate } of figures) {
      accountOpen.set({ account }, inFlight)
      accountPaused.set({ account }, pausedFor(pause))
      accountRate.set({ account }, rate.perMinute)
    }
    for (const counter of [sent, firstAttempts, lossy]) counter.reset()
    for (const [outcome, value] of Object.entries(notices.sent)) sent.inc({ outcome }, value)
    for (const [within, value] of Object.entries(notices.firstAttempts)) firstAttempts.inc({ within }, value)
    for (const [outcome, value] of Object.entries(notices.lossy)) lossy.inc({ outcome }, value)
    owed.set({ state: 'pending' }, notices.pending)
    owed.set({ state: 'held' }, notices.held)
    oldestOwed.set((notices.oldestPending ?? 0) / 1000)
    late.set(notices.late / 1000)
    disabled.set(notices.disabled)
    for (const name of CONDITION_NAMES)
      condition.set({ name }, lasting.find((one) => one.name === name)?.processes ?? 0)
    atRisk.set(risk)
    unknown.set(sumOf(figures, ({ unknowns }) => unknowns))
    for (const [phase, value] of Object.entries(counts.phases)) jobs.set({ phase }, value)
    // The totals are in Redis, shared by all processes.
    for (const counter of [finished, finishedBy, orphans]) counter.reset()
    for (const [name, value] of Object.entries(counts.counters)) {
      const [kind, label = ''] = name.split(':')
      if (kind === 'jobs') finished.inc({ status: label }, value)
      if (kind === 'finished_by') finishedBy.inc({ source: label }, value)
    }
    orphans.inc(counts.counters.orphan_predictions ?? 0)
    open.set(sumOf(figures, ({ inFlight }) => inFlight))
    due.set({ state: 'overdue' }, counts.overdue)
    due.set({ state: 'waiting' }, counts.due - counts.overdue)
    line.set(counts.line)
    letters.set(counts.deadLetters)
    paused.set(pausedFor(pauseOfAll(figures.map(({ pause }) => pause))))
    for (const [name, states] of Object.entries(queues))
      for (const [state, value] of Object.entries(states)) queue.set({ queue: name, state }, value)
  }

  const webhooks = new Counter({
    name: 'genqueue_webhooks_total',
    help: 'Webhooks from Replicate, by outcome',
    labelNames: ['result'],
    ...own,
  })
  const requests = new Histogram({
    name: 'genqueue_http_request_seconds',
    help: 'HTTP responses of this service',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    ...own,
  })

  const webhookLatency = new Histogram({
    name: 'genqueue_webhook_latency_seconds',
    help: 'Seconds from the completion of a prediction to the commit of its webhook',
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    ...own,
  })
  const latencies: number[] = []

  const refusals = new Counter({
    name: 'genqueue_requests_refused_total',
    help: 'Refused requests',
    labelNames: ['code'],
    ...own,
  })

  const eventsSkipped = new Counter({
    name: 'genqueue_events_skipped_total',
    help: 'Unreadable entries of the event stream',
    ...own,
  })

  return {
    eventSkipped: (): void => eventsSkipped.inc(),
    refused: (code: string): void => refusals.inc({ code }),
    webhook: (result: string): void => webhooks.inc({ result }),
    /** s; can be slightly negative, because it compares the clocks of two machines. */
    webhookLatency: (seconds: number): void => {
      const waited = Math.max(0, seconds)
      webhookLatency.observe(waited)
      latencies.push(waited)
      if (latencies.length > KEEP_LATENCIES) latencies.shift()
    },
    /** s; the most recent ones of this process, oldest first. */
    webhookLatencies: (): readonly number[] => latencies,
    request: (labels: { method: string; route: string; status: string }, seconds: number): void =>
      requests.observe(labels, seconds),
    contentType: registry.contentType,
    async render(): Promise<string> {
      const [, figures] = await Promise.all([readShared(), ofGroup === null ? registry.metrics() : ofGroup()])
      return `${await common.metrics()}\n${figures}`
    },
  }
}

export type Metrics = ReturnType<typeof createMetrics>

/** Seconds until creation resumes; 1 while it waits for a probe. */
const pausedFor = (pause: Pause | null): number =>
  pause ? Math.max(pause.until === null ? 1 : 0, ((pause.until ?? 0) - Date.now()) / 1000) : 0
