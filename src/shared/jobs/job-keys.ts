import { hash } from 'node:crypto'
import type { Status } from './job.ts'

/** Every Redis key of a deployment, under one hash tag, so that one script may touch them all. */
export function createJobKeys(prefix: string) {
  const tag = `{${prefix}}`
  return {
    tag,
    /** hash: what commits change (record-codec.ts) */
    job: (id: string) => `${tag}:job:${id}`,
    /** string: JSON of what was frozen at accept */
    order: (id: string) => `${tag}:job:${id}:order`,
    /** string: JSON of what came out */
    result: (id: string) => `${tag}:job:${id}:result`,
    /** string: the beginning of a text while it grows */
    partial: (id: string) => `${tag}:job:${id}:partial`,
    /** What a record has beside its hash, in the order in which it is read. */
    documents: (id: string) => [`${tag}:job:${id}:order`, `${tag}:job:${id}:result`, `${tag}:job:${id}:partial`],
    /** hash: effect key -> JSON */
    outbox: (id: string) => `${tag}:job:${id}:outbox`,
    /** sorted set: `job:<id>`, `attempt:<id>:<n>`, `effect:<id>:<key>` by due time, ms */
    due: `${tag}:due`,
    /** sorted set: each final job, batch that is over and `files:<job>` by the time of its next clean-up, ms */
    retention: `${tag}:retention`,
    /** string: JSON, where the files are that outlived the record of a job */
    keptFiles: (job: string) => `${tag}:files:${job}`,
    /** sorted sets, all scores 0: ids are ULIDs, so their order is that of creation */
    tenantJobs: (tenant: string) => `${tag}:tenant:${tenant}:jobs`,
    tenantStatus: (tenant: string, status: Status) => `${tag}:tenant:${tenant}:jobs:${status}`,
    /** string: when the sweep last ran anywhere, ms */
    swept: `${tag}:swept`,
    /** hash: phase -> number of jobs */
    phases: `${tag}:phases`,
    /** hash: counters for metrics */
    counters: `${tag}:counters`,
    /** sorted set: `<job>:<n>` of each attempt whose outcome is unknown, by its intent, ms */
    unknown: (account: string) => `${tag}:account:${account}:unknown`,
    /** sorted set: predictions of the account that are not ours, by when they were found, ms */
    foreign: (account: string) => `${tag}:account:${account}:foreign`,
    /** sorted set: `<job>:<n>` of each output that is not copied yet, by its expiry, ms */
    storing: `${tag}:storing`,
    /** hash: since when storage fails */
    storage: `${tag}:storage`,
    /** string: the bucket in which files may stand (redis-lost-bucket.ts) */
    bucket: `${tag}:bucket`,
    /** hash: how long runs of a model take, number of runs by bucket */
    runTimes: (model: string) => `${tag}:runtimes:${model}`,
    /** set: `<job>:<n>` of each attempt whose prediction is open */
    open: (account: string) => `${tag}:account:${account}:open`,
    /** hash: create budget and pause */
    account: (account: string) => `${tag}:account:${account}`,
    readBudget: (account: string) => `${tag}:account:${account}:reads`,
    /** string: `<job>:<n>` */
    prediction: (account: string, id: string) => `${tag}:prediction:${account}:${id}`,
    /** string: JSON `{ job, body }` */
    idempotency: (entry: string) => `${tag}:idempotency:${entry}`,
    /** hash: a batch (batches.lua) */
    batch: (id: string) => `${tag}:batch:${id}`,
    /** sorted set: its jobs by their place */
    batchJobs: (id: string) => `${tag}:batch:${id}:jobs`,
    /** sorted set: those that have not ended, by their place */
    batchLive: (id: string) => `${tag}:batch:${id}:live`,
    tenantBatches: (tenant: string) => `${tag}:tenant:${tenant}:batches`,
    /** set: jobs of a tenant's preset that are in flight, where that is limited */
    slots: (tenant: string, preset: string) => `${tag}:tenant:${tenant}:slots:${preset}`,
    /** sorted set, all scores 0: jobs that wait for another one to end, of a tenant's preset or of a batch */
    crowd: (crowd: string, of: string) => `${tag}:crowd:${crowd}:${of}`,
    /** hash: a tenant's credit account (credits.lua) */
    credits: (tenant: string) => `${tag}:tenant:${tenant}:credits`,
    /** stream: its entries */
    ledger: (tenant: string) => `${tag}:tenant:${tenant}:ledger`,
    /** hash: what names a request of an operator -> the entry that it made (grant.lua) */
    ledgerRequests: (tenant: string) => `${tag}:tenant:${tenant}:ledger-requests`,
    /** hash: what was captured on a day (UTC, `2026-01-31`), by preset or model */
    spending: (tenant: string, day: string) => `${tag}:tenant:${tenant}:spending:${day}`,
    /** hash: a file that inputs may name (shared/inputs) */
    upload: (id: string) => `${tag}:upload:${id}`,
    /** set: ids of jobs that use it */
    uploadJobs: (id: string) => `${tag}:upload:${id}:jobs`,
    /** string with a time to live: JSON, the copy that an account of Replicate has */
    uploadRemote: (id: string, account: string) => `${tag}:upload:${id}:remote:${account}`,
    /** sorted set: uploads by the time of the next look at them, ms */
    uploads: `${tag}:uploads`,
    /** stream of transitions */
    events: `${tag}:events`,
    /** channel of progress */
    progress: `${tag}:progress`,
    /** stream of authentic webhooks that we could not use */
    deadLetters: `${tag}:dead-letters`,
    /** hash: id, token key of this deployment */
    deployment: `${tag}:deployment`,
    /** hash: the generation of Redis's memory, and whether its recovery gate is open (generation.lua) */
    generation: `${tag}:generation`,
    /** hash: which processes of workers live, and in which generation */
    presence: `${tag}:presence`,
    /** hash: process -> what holds it up (report-conditions.lua) */
    conditions: `${tag}:conditions`,
    /** string with a time to live: JSON, what a worker met that holds up a job (job-waits.ts) */
    wait: (job: string) => `${tag}:wait:${job}`,
    /** string with a time to live: written to see whether Redis takes writes */
    tried: `${tag}:tried`,
    /** prefix of BullMQ's keys */
    queues: `${tag}:queue`,
  }
}

export type JobKeys = ReturnType<typeof createJobKeys>

/** 132 bits of SHA-256. */
export const shortDigest = (text: string): string => hash('sha256', text, 'base64url').slice(0, 22)

/** The name of an idempotency entry: its parts may be long or secret, so only their digest is kept. */
export const idempotencyEntry = (tenant: string, route: string, key: string): string =>
  shortDigest(JSON.stringify([tenant, route, key]))
