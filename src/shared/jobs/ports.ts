import type { KeptFiles, Purge } from './rules/purge.ts'
import type { DueMember } from './record/due-member.ts'
import type { Carry, Cause, Effect, JobRecord, JobState, Priority, Status } from './rules/job.ts'
import type { Rate } from '../limits/rules/budget.ts'
import type { JobFilter } from './rules/job-filter.ts'
import type { BatchStop, Commit, PauseReason } from './rules/decision.ts'
import type { AcceptTerms } from './rules/acceptance.ts'
import type { Answering, Claim } from './rules/answering.ts'
import type { Place } from './rules/place.ts'
import type { Range, Turn } from './rules/turn.ts'
import type { Crowd } from './rules/sharing.ts'
import type { HistoryLine } from './rules/history.ts'
import type { JobNotice, TenantNotice } from '../notifications/rules/notice.ts'
import type { BudgetCharge, OverBudget } from '../credits/rules/spending-budget.ts'
import type { StoredBeyond } from '../limits/rules/stored.ts'

/** An event that a commit owes to receivers: a row of the outbox of the job, or of the tenant. */
export type Owed = { job: string; notice: JobNotice } | { tenant: string; notice: TenantNotice }

/** Result of a commit. */
export type CommitResult =
  /** `owed`: what somebody hears of. `woken`: number of lanes of waiting jobs that may go on. */
  | { status: 'applied'; state: JobState; owed: readonly Owed[]; woken: number }
  /** Nothing was written: it was only asked whether it may be. */
  | { status: 'allowed' }
  /** The same commit was applied before: a reply was lost and the command was sent twice. */
  | { status: 'repeated' }
  /** Another commit was faster: load and decide again. */
  | { status: 'stale' }
  | { status: 'too_late' }
  /** The create budget has no token now; it has one every `everyMs`. */
  | { status: 'limited'; waitMs: number; everyMs: number }
  /** Creation is paused for the account. */
  | { status: 'paused'; waitMs: number }
  /** The circuit breaker is half open: no creation until a probe succeeds. */
  | { status: 'probing' }
  /** Another job must end first. */
  | { status: 'crowded'; crowd: Crowd }
  /** A limit of jobs in flight, or a pause, of this scope holds the job up. */
  | { status: 'blocked'; scope: string }
  /** This process has no lease on the job. */
  | { status: 'unleased' }
  /** The batch of the job lets no further job begin. */
  | { status: 'batch_stopped'; reason: BatchStop }
  /** The tenant's queue has reached this limit. */
  | { status: 'full'; limit: number }
  /** The tenant has reached a limit of stored bytes or files. */
  | { status: 'over_quota'; beyond: StoredBeyond }
  /** A hard budget has no room. */
  | ({ status: 'over_budget' } & OverBudget)
  /** Budgets were changed, or another period has begun: read them again. */
  | { status: 'budgets_changed' }
  /** Missing micro-credits of the tenant. */
  | { status: 'short'; missing: number }
  /** With the hold, the account would exceed what can be represented exactly. */
  | { status: 'beyond' }
  /** An idempotency entry or a prediction belongs to another job. */
  | { status: 'taken'; holder: string }

export interface Snapshot {
  /** ms, Redis clock */
  now: number
  /** The pause clock of the job's account, and those of all accounts, ms. */
  paused: number
  clocks: Readonly<Record<string, number>>
  /**
   * Number of predictions of the job's account that were found final by polling since the last webhook; without a job, the most of
   * any account.
   */
  silence: number
  state: JobState | null
  /** The commit that wrote the revision of `state`; '' when the record does not name it. */
  commit: string
}

/** Figures for metrics. */
export interface Counts {
  phases: Record<string, number>
  counters: Record<string, number>
  due: number
  overdue: number
  /** Jobs in line for a worker. */
  line: number
  deadLetters: number
}

export interface Pause {
  reason: PauseReason
  /** ms since 1970; null: until a probe of upstream succeeds */
  until: number | null
}

/** The pause of several accounts: the one that ends first, if all of them are paused. */
export function pauseOfAll(pauses: readonly (Pause | null)[]): Pause | null {
  let first: Pause | null = null
  for (const pause of pauses) {
    if (pause === null) return null
    if (first === null || (pause.until ?? Infinity) < (first.until ?? Infinity)) first = pause
  }
  return first
}

/** Predictions found final by polling, without a webhook in between, from which webhooks count as missing. */
export const SILENT_FROM = 5

/** An output that is not copied this long before upstream removes it raises an alarm, ms. */
export const AT_RISK_MS = 15 * 60_000

/** An accept was refused: Redis has lost this deployment, or holds another one. */
export class DeploymentLostError extends Error {
  override name = 'DeploymentLostError'
}

/** An intent was refused: Redis's memory may have gone back, and has not been compared with upstream's list since. */
export class GateClosedError extends Error {
  override name = 'GateClosedError'
  /** The account whose list has to be compared; null: that of the intent. */
  readonly account: string | null

  constructor(message: string, options: ErrorOptions & { account?: string } = {}) {
    super(message, options)
    this.account = options.account ?? null
  }
}

/** Reads the record of a job. */
export interface JobReader {
  /** The record without attempts and effects; null when the job does not exist. */
  read(id: string): Promise<JobRecord | null>
}

/** Reads a long input, which is kept beside the record. */
export interface InputReader {
  /**
   * The job with its whole input, and `input_bytes` null. A job whose input is gone, or which has it in its record, is returned
   * as it is.
   */
  whole(job: JobRecord): Promise<JobRecord>
}

/** Reads the logs that are kept with a job. */
export interface LogsReader {
  /** The last 64 KiB of the logs of a job that keeps them (`keepsLogs`), until its payload is removed; null: none. */
  logsOf(id: string): Promise<string | null>
}

/** Loads what a decision about a job needs. */
export interface JobLoader {
  load(id: string): Promise<Snapshot>
}

/** What indexes know of the jobs of a list. */
export interface JobQuery extends Pick<
  Partial<JobFilter>,
  'labels' | 'prediction_id' | 'created_after' | 'created_before'
> {
  status?: Status | undefined
  /** Only older jobs than this id. */
  before?: string | undefined
  /** Only newer jobs than this id, oldest first. */
  after?: string | undefined
  limit: number
}

/** Finds jobs, and reads what happened to one. */
export interface JobFinder {
  /**
   * Jobs that can match, newest first, with `after` oldest first; whether one does, its record decides (`passes`), except for
   * its prediction. `last`: the id after which to continue; null: there are no more. There may be more although fewer than
   * `limit` are returned.
   */
  list(tenant: string, query: JobQuery): Promise<{ jobs: JobRecord[]; last: string | null }>
  /** The job that an idempotency entry names, and the digest of the request's body. */
  idempotent(entry: string): Promise<{ job: string; body: string } | null>
  /** Oldest first. */
  history(id: string): Promise<{ at: number; entry: HistoryLine }[]>
}

/** Writes jobs. Every change of a record is a commit (lifecycle.ts), except progress, which may be lost. */
export interface JobWriter {
  /** Writes a new job. `idempotency`: name of the entry, and digest of the body. */
  create(
    job: JobRecord,
    idempotency: { entry: string; body: string } | null,
    commitId: string,
    limits?: AcceptTerms,
  ): Promise<CommitResult>
  /** `basis`: the commit that wrote the revision of `state`; '' or absent: any. */
  commit(state: JobState, commit: Commit, cause: Cause, commitId: string, basis?: string): Promise<CommitResult>
  /**
   * Writes the progress, partial output and logs of a running prediction; lossy. `own`: the job's own webhook hears of it.
   * Returns whether a receiver is to be notified.
   */
  progress(
    id: string,
    tenant: string,
    shown: { progress: number | null; partial: string | null; logs?: string },
    own?: boolean,
  ): Promise<boolean>
}

/** Why jobs would not be accepted now. */
export type AcceptRefusal =
  | { kind: 'too_late' | 'beyond' }
  | { kind: 'full'; limit: number }
  | { kind: 'over_quota'; beyond: StoredBeyond }
  | ({ kind: 'over_budget' } & OverBudget)
  | { kind: 'short'; missing: number }

/** Asks what an acceptance would do. */
export interface AcceptanceCheck {
  /**
   * Whether the jobs, of one tenant, would be accepted together now; changes nothing. `charges`: what budgets would count. `queued`: number
   * of jobs of the tenant that wait.
   */
  mayAccept(
    jobs: readonly JobRecord[],
    limits: AcceptTerms,
  ): Promise<{ result: { kind: 'allowed' } | AcceptRefusal; charges: readonly BudgetCharge[]; queued: number }>
}

/** Jobs that wait for other jobs to end. */
export interface Crowds {
  /** Makes the job wait for another job to end. */
  joinCrowd(job: JobRecord, crowd: Crowd): Promise<void>
  /** The crowd in which the job waits, if any. */
  crowdOf(job: JobRecord): Promise<Crowd | null>
  /** Removes and returns the next waiting job of each crowd, because the job made room. */
  leaveCrowd(job: JobRecord): Promise<string[]>
}

/** Which prediction belongs to which attempt, and which to nobody. */
export interface PredictionIndex {
  /** Attempts with an unknown outcome, oldest first. */
  unknownAttempts(account: string): Promise<{ job: string; attempt: number; intended_at: number }[]>
  /** Those of the predictions that no attempt owns and that are not known to be foreign. */
  unowned(account: string, predictions: string[]): Promise<string[]>
  /** Open attempts that own these predictions, by prediction. */
  openOwners(account: string, predictions: string[]): Promise<Map<string, { job: string; attempt: number }>>
  rememberForeign(account: string, prediction: string): Promise<void>
  /** Whether the prediction is known to be foreign: created by others, or for a deleted job. */
  isForeign(account: string, prediction: string): Promise<boolean>
}

/** Whether webhooks arrive. */
export interface WebhookSilence {
  /** Records that an authentic webhook of the account arrived. */
  webhookCame(account: string): Promise<void>
  /** Whether webhooks have been missing lately (SILENT_FROM). */
  webhooksSilent(account: string): Promise<boolean>
}

/** Durations of a model's runs. */
export interface RunTimes {
  /** p90 of a model's runs, ms; null when too few are known. */
  expectedRun(model: string): Promise<number | null>
  /** p50 and p90 of a model's runs, ms; null when too few are known. */
  runTimes(model: string): Promise<{ p50: number; p90: number } | null>
  /** Counts the duration of a run, soon; lossy. */
  rememberRun(model: string, ms: number): void
}

/** Places of final jobs in the names of their files. */
export interface Places {
  /** Passes the place of a final job, which names its files, on to a retry: true once for each job. */
  passPlace(id: string): Promise<boolean>
  /** Undoes `passPlace`, because the retry was not accepted. */
  takePlaceBack(id: string): Promise<void>
}

/** Whether the creation of predictions is paused. */
export interface CreationPause {
  pause(account: string): Promise<Pause | null>
}

/** The circuit breaker of an account: pauses creation, and probes whether it may resume. */
export interface CreationBreaker extends CreationPause {
  pauseCreation(account: string, ms: number, reason: PauseReason): Promise<void>
  /** Takes the probe lease of a half-open account: true when the caller has it. */
  beginProbe(account: string): Promise<boolean>
  endProbe(account: string, result: { well: true } | { well: false; reason: PauseReason }): Promise<void>
  /** Closes the circuit breaker where a refusal tripped it, because these reasons are over. */
  endRefusal(account: string, reasons: readonly ('account' | 'webhook')[]): Promise<void>
}

/** Room for jobs in flight in an account. */
export interface AccountRoom {
  /** Whether no operator's limit or pause of the account holds its jobs up. */
  hasRoom(account: string): Promise<boolean>
}

/** Circuit breakers of models, deployments and versions, which failures of the platform trip. */
export interface ModelBreakers {
  /** Lets one create pass for each whose pause has ended. */
  halfOpenModels(): Promise<void>
  /** Those that are paused, or let creates pass one by one, such as `model:owner/name`. */
  failingModels(): Promise<string[]>
}

/** Keeps intents back until Redis's memory was compared with upstream's list. */
export interface RecoveryGate {
  /**
   * Opens the recovery gate of an account for a generation of Redis's memory that was compared with its list, after a commit
   * threw GateClosedError. False when Redis holds another generation by now.
   */
  allowIntents(generation: string, account: string): Promise<boolean>
}

/** `silence`: ms without a beat after which a process counts as dead; null: only those in `known` do. */
export interface DeadAnswerers {
  silence: number | null
  known: readonly string[]
}

/** Creates that are being answered, and those whose answer was lost. */
export interface AnsweringIndex {
  /**
   * Takes the job of an equal create whose answer was lost, each once; otherwise notes this create, unless equal ones are
   * being answered and `patient` is set.
   */
  claim(create: Answering, others: { patient: boolean; dead: DeadAnswerers }): Promise<Claim>
  /** The whole answer was handed to the socket, or nothing was accepted: nothing is remembered. */
  answered(entry: string, job: string): Promise<void>
  /** The answer was lost; false when no accepted create is noted. */
  lost(entry: string, job: string, forMs: number): Promise<boolean>
  /** This process lives. */
  beat(process: string): Promise<void>
  leave(process: string): Promise<void>
}

/** Whether outputs can be stored. */
export interface StorageHealth {
  /** Records a storage failure; returns for how long storage has been failing, ms. */
  storageFailed(): Promise<number>
  storageWorked(): Promise<void>
  /** For how long storage has been failing, ms; null: it works. */
  storageFailingFor(): Promise<number | null>
}

/** A job in flight that counts for a limit of this scope. */
export interface Holder {
  scope: string
  job: string
}

/** Jobs that wait for a worker, in order (docs/adr/0017-fair-order.md). */
export interface JobLine {
  /** The name of the leases of this process. */
  readonly lease: string
  /**
   * Puts jobs in line for a worker, at the places that they had. `claims`: the number of doorbells that have claimed jobs of the
   * line so far. `waiting`: the number of tenants with jobs that may go on.
   */
  joinLine(places: readonly Place[]): Promise<{ claims: number; waiting: number }>
  /** Puts a job in line that no worker has under a lease, or leaves it at its place; it is due in `inMs`. */
  keepInLine(job: JobRecord, inMs: number): Promise<void>
  /** Puts a job back in line, and sets all jobs like it aside until the scope of its account may go on. */
  standAside(place: Place, scope: string): Promise<void>
  /** Takes the next jobs, under a lease. `isFirst`: the first claim of a doorbell. */
  claimLine(limit: number, isFirst: boolean): Promise<{ places: Place[]; waiting: number }>
  /** The scope whose limit or pause holds the job up, if it was its turn otherwise. */
  blockedBy(job: JobRecord): Promise<string | null>
  /** Renews the leases that this process has on jobs. */
  renewLeases(jobs: readonly string[]): Promise<void>
  /** Ends the lease that this process has on a job, if it has one. `isOver`: the job never comes back into line. */
  endLease(job: string, isOver: boolean): Promise<void>
  /** Jobs in flight of the scopes for which lanes are parked, some of them. */
  holders(): Promise<Holder[]>
  /** Frees a slot of a job that is not in flight any more. */
  freeSlot(holder: Holder): Promise<void>
  /** Puts jobs back in order that a limit or a pause held up, and no longer does. Returns how many kinds of jobs there are. */
  wakeLanes(): Promise<number>
}

/** A copy of outputs in the queue of the workers. `key`, `waiting`: names of its hash, and of those that wait, in Redis. */
export interface QueuedCopy {
  id: string
  key: string
  waiting: string
  tenant: string
  /** When upstream removes the output, ms */
  expiresAt: number
}

export interface CopyTurns {
  /** Priority of a copy that is not in the queue; null: it is there, and is moved to the front if its output is removed soon. */
  queueCopy(copy: QueuedCopy): Promise<number | null>
}

/** When the turn of a waiting job comes. */
export interface Turns {
  /** What is ahead of a job, which need not be in line. What is known of other tenants may be a second old. */
  turnOf(place: Place): Promise<Turn>
  /** Real waits as a multiple of their forecasts, of late; null when too few are known. */
  forecastErrors(priority: Priority): Promise<Range | null>
  /** Counts a wait as a multiple of its forecast. */
  rememberError(priority: Priority, error: number): Promise<void>
}

/** When something is due. */
export interface DueTimes {
  /** Makes a member due in `inMs`, if it is still in the index. */
  rearm(member: DueMember, inMs: number): Promise<void>
}

/** What is due, for the sweep. */
export interface DueIndex extends DueTimes {
  claimDue(limit: number): Promise<{ now: number; members: DueMember[] }>
  /** Removes a member from the index. */
  dropDue(member: DueMember): Promise<void>
}

/** Whether anybody sweeps. */
export interface LastSweep {
  /** ms since the last sweep of any process; null: never. */
  sweptAgo(): Promise<number | null>
}

/** Clean-up of final jobs and of the files that outlive them. */
export interface Retention {
  /** Claims final jobs (and `bat_` batches, `files:<job>` kept files) with a due clean-up. */
  claimRetention(limit: number): Promise<{ now: number; ids: string[] }>
  /** Defers the clean-up of a final job until its open attempts and effects are due. */
  deferRetention(state: JobState): Promise<void>
  /** Removes parts of a final job, or its record. Returns false when the job has changed since it was loaded. */
  purge(state: JobState, purge: Purge, commitId: string): Promise<boolean>
  /** Files that outlived the record of this job; null: none, or files that are kept forever. */
  keptFiles(job: string): Promise<KeptFiles | null>
  /** Removes the record of kept files, after the files were removed. */
  forgetKeptFiles(job: string): Promise<void>
}

/** Figures for metrics and Health. */
export interface JobFigures {
  counts(): Promise<Counts>
  /** Number of open predictions of the account. */
  openPredictions(account: string): Promise<number>
  /** Number of outputs that upstream removes within `ms` and that are not copied yet. */
  artifactsAtRisk(ms: number): Promise<number>
}

/** The rate of creates of an account, which 429s lower below the configured budget for a time. */
export interface CreateRate extends Rate {
  /** Number of creates that are allowed now. */
  free: number
  /** The most per minute: the configured budget, or what an operator set instead. */
  ceiling: number
  /** ms since when no 429 came; null: the rate is not lowered. */
  quietSince: number | null
  /** Creates that were refused with 429, and how many of them while a higher rate was tried. */
  throttled: number
  probing: number
}

export interface CreateRates {
  createRate(account: string): Promise<CreateRate>
}

/** What cannot be used, for the operator. */
export interface DeadLetters {
  /** Keeps an authentic webhook that could not be used, for the operator. */
  deadLetter(letter: { reason: string; job: string; prediction: string; webhook_id: string }): Promise<void>
}

/** The clock of all times in records. */
export interface RedisClock {
  /** ms, Redis clock */
  now(): Promise<number>
}

/** All of the above: what the store in Redis implements. Users name the ports that they need. */
export interface JobStore
  extends
    JobReader,
    InputReader,
    LogsReader,
    JobLoader,
    JobFinder,
    JobWriter,
    AcceptanceCheck,
    Crowds,
    PredictionIndex,
    WebhookSilence,
    RunTimes,
    Places,
    CreationBreaker,
    AccountRoom,
    RecoveryGate,
    StorageHealth,
    JobLine,
    CopyTurns,
    Turns,
    DueIndex,
    LastSweep,
    Retention,
    JobFigures,
    CreateRates,
    ModelBreakers,
    DeadLetters,
    RedisClock {}

/** A row of the outbox that is due at some time. */
export type DueEffect = Exclude<Effect, Carry>

/** Rings doorbells, BullMQ jobs that carry only ids: a lost one costs time, never a job. */
export interface Doorbells {
  /** Puts jobs in line, and rings once for all of them. */
  submit(...places: Place[]): Promise<void>
  /** Rings for what is in line. */
  line(): Promise<void>
  /** `soon`: upstream removes the prediction soon. */
  poll(job: string, attempt: number, soon: boolean): Promise<void>
  /** Requests a search for the predictions of unknown outcomes. */
  adopt(account: string): Promise<void>
  /** Requests a listing that polls many open predictions. */
  window(
    account: string,
    created: { after: number; before: number },
    soon: boolean,
    due: readonly { job: string; attempt: number }[],
  ): Promise<void>
  /** Requests a copy of outputs. */
  store(job: Pick<JobRecord, 'id' | 'tenant'>, effect: Extract<DueEffect, { kind: 'store' }>): Promise<void>
  effect(job: string, effect: Exclude<DueEffect, { kind: 'store' }>): Promise<void>
  /** Requests that a notice of the tenant is distributed to receivers. */
  notice(tenant: string, id: string): Promise<void>
  /** Requests that the progress of a job is sent, once. */
  progress(job: string): Promise<void>
  /** Requests that notifications are sent. */
  send(): Promise<void>
}
