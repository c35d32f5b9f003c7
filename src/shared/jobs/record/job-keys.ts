import { hash } from 'node:crypto'
import type { Priority, Status } from '../rules/job.ts'

/** Every Redis key of a deployment, under one hash tag, so that one script may access all of them. */
export function createJobKeys(prefix: string) {
  const tag = `{${prefix}}`
  return {
    tag,
    /** hash: fields that commits change (record-codec.ts) */
    job: (id: string) => `${tag}:job:${id}`,
    /** string: JSON of the fields that are frozen at acceptance */
    order: (id: string) => `${tag}:job:${id}:order`,
    /** string: JSON of the result's fields */
    result: (id: string) => `${tag}:job:${id}:result`,
    /** string: the beginning of a text output while the prediction runs */
    partial: (id: string) => `${tag}:job:${id}:partial`,
    /** string: JSON of the whole input, where that is too long for the record (rules/long-input.ts) */
    input: (id: string) => `${tag}:job:${id}:input`,
    /** string: the last logs of a job that was accepted by Replicate's own API (rules/job.ts, `via`) */
    logs: (id: string) => `${tag}:job:${id}:logs`,
    /** Keys of a record besides its hash, in the order in which they are read. */
    documents: (id: string) => [`${tag}:job:${id}:order`, `${tag}:job:${id}:result`, `${tag}:job:${id}:partial`],
    /** hash: effect key -> JSON */
    outbox: (id: string) => `${tag}:job:${id}:outbox`,
    /** hash: id -> JSON, what is owed to the receivers of a tenant, besides what its jobs owe */
    notices: (tenant: string) => `${tag}:tenant:${tenant}:notices`,
    /** sorted set: `job:<id>`, `attempt:<id>:<n>`, `effect:<id>:<key>`, `owed:<tenant>:<id>` by due time, ms */
    due: `${tag}:due`,
    /** The jobs that wait for a worker, and whose turn is next: explained in indexes/order.lua. */
    line: `${tag}:line`,
    lanes: `${tag}:line:lanes`,
    laneHeads: `${tag}:line:heads`,
    turns: (priority: Priority) => `${tag}:line:turns:${priority}`,
    shares: `${tag}:line:shares`,
    places: `${tag}:line:places`,
    parked: `${tag}:line:parked`,
    costs: `${tag}:line:costs`,
    /** hash: tenant -> finish tag of its last copy (indexes/queue-copy.lua) */
    copyShares: `${tag}:copies:shares`,
    /** sorted set, all scores 0: `<scope> <job>` of each job in flight (rules/place.ts) */
    flight: `${tag}:flight`,
    /** hash: limits of jobs in flight and weights of tenants, by scope (indexes/order.lua) */
    limits: `${tag}:limits`,
    /** hash: scope -> JSON, why an operator paused it */
    pauses: `${tag}:pauses`,
    /** hash: how long scopes were paused (limits/manual-clock.lua) */
    pauseClocks: `${tag}:pause-clocks`,
    /** hash: circuit breakers of models (limits/model-breaker.lua) */
    modelBreakers: `${tag}:model-breakers`,
    /** stream: what operators changed of limits and pauses, and who */
    operatorChanges: `${tag}:operator-changes`,
    /** string: number of doorbells that have claimed jobs of the line; names the next one (claim-line.lua) */
    lineClaims: `${tag}:line:claims`,
    /** sorted set: each final job, completed batch and `files:<job>` by the time of its next clean-up, ms */
    retention: `${tag}:retention`,
    /** string: JSON, location of the files that outlived the record of a job */
    keptFiles: (job: string) => `${tag}:files:${job}`,
    /** sorted sets, all scores 0: ids are ULIDs, so they sort by creation */
    tenantJobs: (tenant: string) => `${tag}:tenant:${tenant}:jobs`,
    tenantStatus: (tenant: string, status: Status) => `${tag}:tenant:${tenant}:jobs:${status}`,
    /** sorted set, all scores 0: a member for each label of each job (label-member.ts) */
    tenantLabels: (tenant: string) => `${tag}:tenant:${tenant}:labels`,
    /** string: time of the last sweep in any process, ms */
    swept: `${tag}:swept`,
    /** hash: phase -> number of jobs */
    phases: `${tag}:phases`,
    /** hash: counters for metrics */
    counters: `${tag}:counters`,
    /** sorted set: `<job>:<n>` of each attempt with an unknown outcome, by the time of its intent, ms */
    unknown: (account: string) => `${tag}:account:${account}:unknown`,
    /** sorted set: predictions of the account that are not ours, by the time they were found, ms */
    foreign: (account: string) => `${tag}:account:${account}:foreign`,
    /** sorted set: `<job>:<n>` of each output that is not copied yet, by its expiry, ms */
    storing: `${tag}:storing`,
    /** hash: time since when storage has been failing */
    storage: `${tag}:storage`,
    /** string: the bucket that may still hold files (redis-lost-bucket.ts) */
    bucket: `${tag}:bucket`,
    /** hash: durations of a model's runs, number of runs by bucket */
    runTimes: (model: string) => `${tag}:runtimes:${model}`,
    /** hash: how real waits compare with forecasts, number of jobs by bucket of thousandths (rules/turn.ts) */
    forecasts: (priority: Priority) => `${tag}:forecasts:${priority}`,
    /** set: `<job>:<n>` of each attempt with an open prediction */
    open: (account: string) => `${tag}:account:${account}:open`,
    /** set: names of the accounts that were ever configured */
    accounts: `${tag}:accounts`,
    /** hash: create budget and pause */
    account: (account: string) => `${tag}:account:${account}`,
    readBudget: (account: string) => `${tag}:account:${account}:reads`,
    /** string: `<job>:<n>` */
    prediction: (account: string, id: string) => `${tag}:prediction:${account}:${id}`,
    /** string: JSON `{ job, body }` */
    idempotency: (entry: string) => `${tag}:idempotency:${entry}`,
    /** hash with a time to live: creates of one request that are being answered, job -> process (claim-answer.lua) */
    answering: (entry: string) => `${tag}:answering:${entry}`,
    /** sorted set: processes that answer creates, by their last beat, ms */
    answerers: `${tag}:answerers`,
    /** hash: a batch (batches.lua) */
    batch: (id: string) => `${tag}:batch:${id}`,
    /** sorted set: its jobs by position */
    batchJobs: (id: string) => `${tag}:batch:${id}:jobs`,
    /** sorted set: its jobs that are not final, by position */
    batchLive: (id: string) => `${tag}:batch:${id}:live`,
    tenantBatches: (tenant: string) => `${tag}:tenant:${tenant}:batches`,
    /** sorted set, all scores 0: jobs that wait for another job of their batch to end */
    crowd: (crowd: string, batch: string) => `${tag}:crowd:${crowd}:${batch}`,
    /** hash: a tenant's credit account (credits.lua) */
    credits: (tenant: string) => `${tag}:tenant:${tenant}:credits`,
    /** stream: its entries */
    ledger: (tenant: string) => `${tag}:tenant:${tenant}:ledger`,
    /** hash: name of an operator's request -> the entry that it made (grant.lua) */
    ledgerRequests: (tenant: string) => `${tag}:tenant:${tenant}:ledger-requests`,
    /** hash: spending of a day (UTC, `2026-01-31`), by preset or model */
    spending: (tenant: string, day: string) => `${tag}:tenant:${tenant}:spending:${day}`,
    /** hash: scope -> JSON, its budgets; id of a budget -> its scope (credits/redis-budget-store.ts) */
    budgets: `${tag}:budgets`,
    /** hash with a time to live: what a budget counts in a period (budgets.lua) */
    budgetCounts: (budget: string, period: string) => `${tag}:budget:${budget}:${period}`,
    /** hash with a time to live: the same by `user`, `key` or `model` */
    spendingBy: (tenant: string, group: string, day: string) => `${tag}:tenant:${tenant}:spending-by:${group}:${day}`,
    /** hash with a time to live: what runs of a day cost at Replicate, by model, beside what was charged for them */
    upstreamCosts: (day: string) => `${tag}:upstream-costs:${day}`,
    /** hash with a time to live: the same of all tenants, by tenant */
    allSpending: (day: string) => `${tag}:spending:${day}`,
    /** hash: id -> JSON, where the notifications of a tenant go (shared/notifications) */
    endpoints: (tenant: string) => `${tag}:tenant:${tenant}:endpoints`,
    /**
     * hash: type of event -> number of these endpoints that hear of it; without those that nobody hears of. Also the channel to which
     * processes subscribe while a program follows the events of the tenant
     */
    subscribed: (tenant: string) => `${tag}:tenant:${tenant}:subscribed`,
    /** hash: a file that inputs may name (shared/inputs) */
    upload: (id: string) => `${tag}:upload:${id}`,
    /** set: ids of jobs that use the upload */
    uploadJobs: (id: string) => `${tag}:upload:${id}:jobs`,
    /** string with a time to live: JSON, the upload's copy in an account of Replicate */
    uploadRemote: (id: string, account: string) => `${tag}:upload:${id}:remote:${account}`,
    /** sorted set: uploads by the time of their next check, ms */
    uploads: `${tag}:uploads`,
    /** sorted set, all scores 0: `<tenant>/<upload>` of each upload that a client made, by creation (ids are ULIDs) */
    files: `${tag}:upload-files`,
    /** hash: what tenants have stored: `<tenant>.bytes`, `<tenant>.files` of their uploads and outputs (stored.lua) */
    stored: `${tag}:stored`,
    /** hash: a notification (notifications/notification-codec.ts) */
    notification: (id: string) => `${tag}:notification:${id}`,
    /** sorted sets, all scores 0: a tenant's notifications by id, which begins with a ULID: all, and by state */
    tenantNotifications: (tenant: string) => `${tag}:tenant:${tenant}:notifications`,
    notificationState: (tenant: string, state: string) => `${tag}:tenant:${tenant}:notifications:${state}`,
    /** sorted set, all scores 0: `<endpoint or job>:<notification>` */
    notificationsOf: (tenant: string) => `${tag}:tenant:${tenant}:notifications-of`,
    /** sorted set: a tenant's notifications that are over, or held, by the time since when */
    keptNotifications: (tenant: string, kind: 'over' | 'held') => `${tag}:tenant:${tenant}:notifications-kept:${kind}`,
    /** sorted set: notifications that are over, or held, by the time of their removal, ms */
    notificationExpiry: `${tag}:notification-expiry`,
    /** sorted set: pending notifications by the time of their event, ms */
    pendingNotifications: `${tag}:notifications-pending`,
    /** sorted set: pending notifications of a destination by the time at which they are sent, ms */
    waitingNotifications: (destination: string) => `${tag}:destination:${destination}:waiting`,
    /** hash: how a destination does, and its tenant; expires */
    destination: (destination: string) => `${tag}:destination:${destination}`,
    /** sorted set: destinations with pending notifications by the time at which they may be served, ms */
    destinations: `${tag}:destinations`,
    /** hash: counters of notifications for metrics */
    notificationCounts: `${tag}:notification-counts`,
    /** set: endpoints that are disabled */
    disabledEndpoints: `${tag}:endpoints-disabled`,
    /** hash: digest of an address -> time since when it gets no mail of the tenant, ms */
    unsubscribed: (tenant: string) => `${tag}:tenant:${tenant}:unsubscribed`,
    /** string: rate of the tenant's mails (take-token.lua) */
    mailBudget: (tenant: string) => `${tag}:tenant:${tenant}:mails`,
    /** string with a time to live: rate of confirmations of an address, by its digest (take-token.lua) */
    confirmations: (tenant: string, use: string, address: string) =>
      `${tag}:tenant:${tenant}:confirmations:${use}:${address}`,
    /** string with a time to live: exists while no further progress of the job is sent */
    progressSent: (job: string) => `${tag}:progress-sent:${job}`,
    /** stream of transitions */
    events: `${tag}:events`,
    /** channel of progress */
    progress: `${tag}:progress`,
    /** stream of authentic webhooks that could not be used */
    deadLetters: `${tag}:dead-letters`,
    /** hash: id, token key of this deployment */
    deployment: `${tag}:deployment`,
    /** hash: the generation of Redis's memory, and whether its recovery gate is open (generation.lua) */
    generation: `${tag}:generation`,
    /** hash: heartbeats of worker processes, with their generation */
    presence: `${tag}:presence`,
    /** hash: process -> its conditions (report-conditions.lua) */
    conditions: `${tag}:conditions`,
    /** string with a time to live: JSON, the cause that holds up a job (job-waits.ts) */
    wait: (job: string) => `${tag}:wait:${job}`,
    /** string with a time to live: a probe that receivers answer (shared/doctor) */
    probe: (id: string) => `${tag}:doctor:probe:${id}`,
    /** string with a time to live: a run of the doctor that waits for a worker, or the worker's answer */
    doctorRun: (id: string) => `${tag}:doctor:run:${id}`,
    /** string with a time to live: written to test whether Redis accepts writes */
    tried: `${tag}:tried`,
    /** prefix of BullMQ's keys */
    queues: `${tag}:queue`,
  }
}

export type JobKeys = ReturnType<typeof createJobKeys>

/** 132 bits of SHA-256. */
export const shortDigest = (text: string): string => hash('sha256', text, 'base64url').slice(0, 22)

/** The name of an idempotency entry: a digest, because its parts may be long or secret. */
export const idempotencyEntry = (tenant: string, route: string, key: string): string =>
  shortDigest(JSON.stringify([tenant, route, key]))
