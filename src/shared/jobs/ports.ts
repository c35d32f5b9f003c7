import type { KeptFiles, Purge } from './purge.ts'
import type { DueMember } from './due-member.ts'
import type { Cause, Effect, JobRecord, JobState, Status } from './job.ts'
import type { BatchStop, Commit, PauseReason } from './decision.ts'
import type { HistoryLine } from './history-line.ts'

/** How a commit ended. */
export type CommitResult =
  | { status: 'applied'; state: JobState }
  /** This very commit had been applied before: a reply was lost and the command came twice. */
  | { status: 'repeated' }
  /** Somebody else was faster: load and decide again. */
  | { status: 'stale' }
  | { status: 'too_late' }
  /** No token of the create budget now. */
  | { status: 'limited'; waitMs: number }
  /** Creation is paused for the account. */
  | { status: 'paused'; waitMs: number }
  /** Creation stands still until upstream is found well again. */
  | { status: 'probing' }
  /** Another one must end first. */
  | { status: 'crowded'; crowd: Crowd }
  /** The batch of the job lets no further job begin. */
  | { status: 'batch_stopped'; reason: BatchStop }
  /** The tenant has as many jobs in the line as it may have. */
  | { status: 'full'; limit: number }
  /** Micro-credits that the tenant is short of. */
  | { status: 'short'; missing: number }
  /** The hold would bring the account beyond what can be counted exactly. */
  | { status: 'beyond' }
  /** A key that must be ours belongs to another: an idempotency entry, a prediction. */
  | { status: 'taken'; holder: string }

/** How many jobs of the tenant may wait in the line; null: any number. */
export interface AcceptLimits {
  queuedJobs: number | null
}

/** Whom a job waits for: others of its preset, those before it in its batch, or those that its batch's money is held for. */
export const CROWDS = ['preset_limit', 'sequence', 'max_spend'] as const
export type Crowd = (typeof CROWDS)[number]

export interface Snapshot {
  /** ms, Redis clock */
  now: number
  /** The account's pause clock, ms. */
  paused: number
  /** Predictions that were found final by asking since the last webhook came. */
  silence: number
  state: JobState | null
}

/** Figures for metrics. */
export interface Counts {
  phases: Record<string, number>
  counters: Record<string, number>
  due: number
  overdue: number
  deadLetters: number
}

export interface Pause {
  reason: PauseReason
  /** ms; null: until upstream is found well, which is being tried */
  until: number | null
}

/** So many predictions found final by asking, and no webhook among them: webhooks do not come. */
export const SILENT_FROM = 5

/** Outputs that are not copied when upstream removes them in so many ms are alarmed about. */
export const AT_RISK_MS = 15 * 60_000

export interface JobStore {
  load(id: string): Promise<Snapshot>
  /** A view without attempts and effects; null when there is no such job. */
  read(id: string): Promise<JobRecord | null>
  /** Newest first. `before`: the id that ended the last page. */
  list(tenant: string, options: { status?: Status; limit: number; before?: string }): Promise<JobRecord[]>
  /** Writes a new job. The entry is the idempotency entry and the digest of the body. */
  create(
    job: JobRecord,
    idempotency: { entry: string; body: string } | null,
    commitId: string,
    limits?: AcceptLimits,
  ): Promise<CommitResult>
  commit(state: JobState, commit: Commit, cause: Cause, commitId: string): Promise<CommitResult>
  /** The job waits for another one to end. */
  joinCrowd(job: JobRecord, crowd: Crowd): Promise<void>
  /** Whom it waits for, if it does. */
  crowdOf(job: JobRecord): Promise<Crowd | null>
  /** The job made room: those who may be let in, one of each crowd. */
  leaveCrowd(job: JobRecord): Promise<string[]>
  /** What an idempotency entry names. */
  idempotent(entry: string): Promise<{ job: string; body: string } | null>
  /** Lossy: what a running prediction shows of itself. */
  progress(id: string, tenant: string, shown: { progress: number | null; partial: string | null }): Promise<void>
  /** Oldest first. */
  history(id: string): Promise<{ at: number; entry: HistoryLine }[]>
  /** Attempts whose outcome is unknown, oldest first. */
  unknownAttempts(account: string): Promise<{ job: string; attempt: number; intended_at: number }[]>
  /** Which of these predictions no attempt of ours owns and nobody else's are known to be. */
  unowned(account: string, predictions: string[]): Promise<string[]>
  /** The open attempts of ours that own some of these predictions. */
  openOwners(account: string, predictions: string[]): Promise<Map<string, { job: string; attempt: number }>>
  rememberForeign(account: string, prediction: string): Promise<void>
  /** Whether it is known to be nobody's here: made by others, or of a job that was deleted. */
  isForeign(account: string, prediction: string): Promise<boolean>
  /** An authentic webhook came: they are not silent. */
  webhookCame(): Promise<void>
  /** Whether webhooks have been missing lately. */
  webhooksSilent(account: string): Promise<boolean>
  /** ms, Redis clock */
  now(): Promise<number>
  /** p90 of a model's runs, ms; null when too few are known. */
  expectedRun(model: string): Promise<number | null>
  /** p50 and p90 of a model's runs, ms; null when too few are known. */
  runTimes(model: string): Promise<{ p50: number; p90: number } | null>
  rememberRun(model: string, ms: number): Promise<void>
  /** Passes the place of an ended job on to a retry, by which its files are named: true once for each job. */
  passPlace(id: string): Promise<boolean>
  /** The retry was not accepted: the place may be passed on again. */
  takePlaceBack(id: string): Promise<void>
  /** One try of a half-open account: true when it is the caller's. */
  beginProbe(account: string): Promise<boolean>
  endProbe(account: string, result: { well: true } | { well: false; reason: PauseReason }): Promise<void>
  /** Storing failed or worked; answers for how long it has been failing, ms. */
  storageFailed(): Promise<number>
  storageWorked(): Promise<void>
  /** For how long storing has been failing, ms; null: it has not. */
  storageFailingFor(): Promise<number | null>
  pauseCreation(account: string, ms: number, reason: PauseReason): Promise<void>
  /** Outputs that upstream removes within `ms` and that are not copied yet. */
  artifactsAtRisk(ms: number): Promise<number>
  claimDue(limit: number): Promise<{ now: number; members: DueMember[] }>
  /**
   * After a commit that takes budget threw GateClosedError, and this generation of Redis's memory was compared with
   * upstream's list: intents are taken again. False when Redis holds another generation by now.
   */
  allowIntents(generation: string): Promise<boolean>
  /** How long ago the sweep last took something, in any process, ms; null: never. */
  sweptAgo(): Promise<number | null>
  /** Moves a due member that is still in the index. */
  rearm(member: DueMember, inMs: number): Promise<void>
  /** Takes a member out of the index: its job is gone, or it needs no look any more. */
  dropDue(member: DueMember): Promise<void>
  /** Final jobs (and `bat_` batches, `files:<job>` kept files) whose next clean-up is due. */
  claimRetention(limit: number): Promise<{ now: number; ids: string[] }>
  /** Looks at a final job again when its open attempts are due: it is not done before they are closed. */
  deferRetention(state: JobState): Promise<void>
  /** Removes what a final job need not keep any more. False: it has changed since it was loaded, and stays as it is. */
  purge(state: JobState, purge: Purge, commitId: string): Promise<boolean>
  /** Files that outlived the record of this job; null: none, or nothing removes them. */
  keptFiles(job: string): Promise<KeptFiles | null>
  /** Their time came, and they are gone. */
  forgetKeptFiles(job: string): Promise<void>
  /** How many predictions are open on the account. */
  openPredictions(account: string): Promise<number>
  pause(account: string): Promise<Pause | null>
  /** How many creates the budget would let begin at this moment. */
  createsFree(account: string): Promise<number>
  /** An authentic webhook that could not be used, kept for the operator. */
  deadLetter(letter: { reason: string; job: string; prediction: string; webhook_id: string }): Promise<void>
  counts(): Promise<Counts>
}

/** BullMQ jobs say "look at this" and prove nothing: losing one costs time, never a job. */
export interface Doorbells {
  submit(job: string): Promise<void>
  /** `soon`: upstream removes it soon. */
  poll(job: string, attempt: number, soon: boolean): Promise<void>
  /** Look for the predictions of unknown outcomes. */
  adopt(account: string): Promise<void>
  /** Look at many open predictions by listing. */
  window(
    account: string,
    created: { after: number; before: number },
    soon: boolean,
    due: readonly { job: string; attempt: number }[],
  ): Promise<void>
  effect(job: string, effect: Effect): Promise<void>
}
