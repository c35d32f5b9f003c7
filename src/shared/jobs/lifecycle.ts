import { monotonicFactory } from 'ulid'
import type { Logger } from '../process/logger.ts'
import type { Prediction } from '../replicate/rules/prediction.ts'
import { isReplicateDelivery } from '../artifacts/rules/delivery.ts'
import { partialText } from '../artifacts/rules/output.ts'
import { keptLogs } from '../replicate/rules/last-logs.ts'
import { progressFromLogs } from '../replicate/rules/progress-from-logs.ts'
import type { OverBudget } from '../credits/rules/spending-budget.ts'
import type { StoredBeyond } from '../limits/rules/stored.ts'
import { DEFAULT_ACCOUNT, isFinal, keepsLogs } from './rules/job.ts'
import type { Cause, JobRecord, JobState } from './rules/job.ts'
import { newRecord, type NewJob } from './rules/new-job.ts'
import type { Timings } from './rules/timings.ts'
import { newCommitId, randomFraction } from './record/commit-id.ts'
import type { Commit, Ignored, JobEvent } from './rules/decision.ts'
import {
  SILENT_FROM,
  type Crowds,
  type Doorbells,
  type JobFinder,
  type JobLoader,
  type JobReader,
  type JobWriter,
  type Owed,
  type RunTimes,
  type Snapshot,
  type WebhookSilence,
} from './ports.ts'
import { waitsForIntent } from './rules/submit.ts'
import { isAccountScope, placeOf } from './rules/place.ts'
import { untilReady } from './rules/deadlines.ts'
import { transition } from './rules/transitions.ts'
import type { AcceptTerms } from './rules/acceptance.ts'

export interface LifecycleOptions {
  store: JobReader & JobLoader & Pick<JobFinder, 'idempotent'> & JobWriter & Crowds & RunTimes & WebhookSilence
  doorbells: Doorbells
  timings: Timings
  log: Logger
  /** Whether webhooks can reach this deployment. */
  webhooks: () => boolean
  /** Whether a link points to an output file of upstream; default: a file on Replicate's own hosts. */
  delivers?: (link: string) => boolean
}

export type AcceptResult =
  | { kind: 'accepted'; job: JobRecord }
  | { kind: 'replayed'; job: JobRecord }
  | { kind: 'key_reused' }
  | { kind: 'too_late' }
  /** The tenant's queue has reached this limit. */
  | { kind: 'full'; limit: number }
  /** The tenant has reached a limit of stored bytes or files. */
  | { kind: 'over_quota'; beyond: StoredBeyond }
  /** A hard budget has no room. */
  | ({ kind: 'over_budget' } & OverBudget)
  /** Missing micro-credits. */
  | { kind: 'short'; missing: number }
  /** The account would hold more than can be represented exactly. */
  | { kind: 'beyond' }

export type ApplyResult =
  /** `seen`: the job after the commit, to decide on without loading it. */
  | { kind: 'applied'; state: JobState; seen: Seen }
  | { kind: 'ignored'; reason: Ignored['reason']; state: JobState }
  | { kind: 'missing' }
  | { kind: 'limited'; waitMs: number; everyMs: number }
  | { kind: 'paused'; waitMs: number }
  | { kind: 'probing' }
  /** Other jobs must end first; when one does, the job's doorbell is rung. */
  | { kind: 'crowded' }
  /** A limit of jobs in flight or a pause holds it up: it is in line again. */
  | { kind: 'blocked'; scope: string }
  /** Another worker may have it. */
  | { kind: 'unleased' }
  /** Its batch lets no further job begin: the job is final. */
  | { kind: 'batch_stopped' }
  | { kind: 'taken'; holder: string }

/**
 * A job as this process saw it, and when (monotonic, ms). A decision on it commits only while the job still has that
 * revision, written by that commit; else the job is loaded.
 */
export interface Seen extends Snapshot {
  at: number
}

/** Consecutive lost races that indicate a damaged record rather than contention. */
const MAX_RACES = 50

const RUN_TIMES_FRESH_MS = 30_000

/** The use cases of a job: accept it, and apply events to it. All writes of jobs go through this. */
export function createLifecycle({
  store,
  doorbells,
  timings,
  log,
  webhooks,
  delivers = isReplicateDelivery,
}: LifecycleOptions) {
  const nextUlid = monotonicFactory(randomFraction)

  /** A lost doorbell only delays a job: the sweep rings again. */
  const ring = async (what: string, sound: () => Promise<void>): Promise<void> => {
    try {
      await sound()
    } catch (error) {
      log.warn({ err: error, what }, 'could not queue work; the sweep queues it within seconds')
    }
  }

  const ringFor = (owed: readonly Owed[]): Promise<unknown> =>
    Promise.all(
      owed.map((one) =>
        ring(one.notice.type, () =>
          'job' in one ? doorbells.effect(one.job, one.notice) : doorbells.notice(one.tenant, one.notice.id),
        ),
      ),
    )

  async function announce(
    before: JobRecord,
    state: JobState,
    commit: Commit,
    cause: Cause,
    { owed, woken, isHeld }: { owed: readonly Owed[]; woken: number; isHeld: boolean },
  ): Promise<void> {
    const { job } = state
    if (before.phase !== job.phase)
      log.info(
        { job: job.id, attempt: job.attempt, prediction: job.prediction_id, from: before.phase, to: job.phase, cause },
        `job ${job.phase}`,
      )
    if (commit.orphans)
      log.error(
        { job: job.id, attempt: commit.attempt?.n, cause },
        'found a prediction of this service that no job needs; it is counted, and canceled at Replicate',
      )
    if (commit.pause) log.info({ ...commit.pause, job: job.id }, 'a request of this job paused creation')
    // During a resubmission a job keeps its phase when an attempt creates nothing.
    const settled = job.phase !== before.phase || commit.attempt?.changes.state === 'closed'
    if (settled && !isHeld && waitsForIntent(state)) await ring('submit', () => doorbells.submit(placeOf(job)))
    else if (woken > 0) await ring('submit', () => doorbells.line())
    if (job.batch !== null && left(before, job)) await ring('submit', () => ringForCrowd(job))
    await Promise.all([
      ringFor(owed),
      ...commit.effects.add.map((effect) =>
        ring(effect.kind, () =>
          effect.kind === 'store' ? doorbells.store(job, effect) : doorbells.effect(job.id, effect),
        ),
      ),
    ])
  }

  /** Puts those in line that waited for the job in its batch. */
  async function ringForCrowd(job: JobRecord): Promise<void> {
    const ids = await store.leaveCrowd(job)
    const states = await Promise.all(ids.map(async (id) => (await store.load(id)).state))
    const places = states.flatMap((state) => (state && waitsForIntent(state) ? [placeOf(state.job)] : []))
    if (places.length > 0) await doorbells.submit(...places)
  }

  /** A webhook without news, because a poll was faster, still shows that webhooks arrive. */
  async function recordWebhook(account: string): Promise<void> {
    await store.webhookCame(account).catch((error: unknown) => {
      log.debug({ err: error }, 'could not record that a webhook arrived')
    })
  }

  /** p90 of the job's model, cached: it only determines the time of the first poll. */
  const runTimes = new Map<string, { at: number; expected: number | null }>()
  async function expectedRun(job: JobRecord): Promise<number | null> {
    const model = modelOf(job)
    if (!webhooks() || model === null) return null
    const known = runTimes.get(model)
    if (known && Date.now() - known.at < RUN_TIMES_FRESH_MS) return known.expected
    const expected = await store.expectedRun(model)
    if (runTimes.size > 1000) runTimes.clear()
    runTimes.set(model, { at: Date.now(), expected })
    return expected
  }

  const look = async (id: string): Promise<Seen> => ({ ...(await store.load(id)), at: performance.now() })

  /**
   * Loads the job, decides, commits; starts over after a lost race. `seen`: decides on this first, without loading. `isHeld`: the
   * caller has a lease on the job and goes on with it, so it does not join the line again. Throws
   * when Redis does not respond: whether the commit was made is then unknown.
   */
  async function apply(
    id: string,
    event: JobEvent | ((commitId: string) => JobEvent),
    cause: Cause,
    seen?: Seen,
    isHeld = false,
  ): Promise<ApplyResult> {
    let isInCrowd = false
    for (let race = 0; race < MAX_RACES; race++) {
      const commitId = newCommitId()
      const known = (race === 0 ? seen : undefined) ?? (await look(id))
      const { paused, clocks, silence, state } = known
      const since = performance.now() - known.at
      if (cause === 'webhook' && silence > 0) {
        const seenIn = typeof event === 'object' && event.type === 'observed' ? event.account : undefined
        await recordWebhook(seenIn ?? state?.job.account ?? DEFAULT_ACCOUNT)
      }
      if (state === null) return { kind: 'missing' }
      const expected = await expectedRun(state.job)
      const context = {
        now: known.now + Math.round(since),
        paused,
        clocks,
        cause,
        timings,
        webhooks: webhooks() && (cause === 'webhook' || silence < SILENT_FROM),
        expected,
        delivers,
      }
      const decision = transition(state, typeof event === 'function' ? event(commitId) : event, context)
      if (decision.kind === 'ignored') {
        // Only a commit compares what was seen with what is.
        if (known === seen) continue
        return { kind: 'ignored', reason: decision.reason, state }
      }
      const result = await store.commit(state, decision, cause, commitId, known.commit)
      switch (result.status) {
        case 'applied':
          await announce(state.job, result.state, decision, cause, { ...result, isHeld })
          return {
            kind: 'applied',
            state: result.state,
            seen: { ...known, state: result.state, commit: commitId },
          }
        case 'repeated': {
          const again = await look(id)
          if (again.state === null) return { kind: 'missing' }
          // What it owed is due soon.
          await announce(state.job, again.state, decision, cause, { owed: [], woken: 0, isHeld })
          return { kind: 'applied', state: again.state, seen: again }
        }
        case 'limited':
          return { kind: 'limited', waitMs: result.waitMs, everyMs: result.everyMs }
        case 'paused':
          return { kind: 'paused', waitMs: result.waitMs }
        case 'probing':
          return { kind: 'probing' }
        case 'taken':
          return { kind: 'taken', holder: result.holder }
        case 'crowded':
          // Tried again after joining the crowd: a job that ends from now on finds it there.
          if (isInCrowd) return { kind: 'crowded' }
          await store.joinCrowd(state.job, result.crowd)
          isInCrowd = true
          break
        case 'blocked':
          // Another account may have room; the worker decides.
          if (!isAccountScope(result.scope)) await ring('submit', () => doorbells.submit(placeOf(state.job)))
          return { kind: 'blocked', scope: result.scope }
        case 'unleased':
          return { kind: 'unleased' }
        case 'batch_stopped':
          await apply(id, { type: 'batch_stopped', reason: result.reason }, cause)
          return { kind: 'batch_stopped' }
        case 'allowed':
        case 'full':
        case 'over_quota':
        case 'over_budget':
        case 'budgets_changed':
        case 'short':
        case 'beyond':
          throw new Error(`unexpected result of a commit of ${id}: ${result.status}`)
        case 'too_late':
        case 'stale':
          break
      }
    }
    throw new Error(`a commit of job ${id} lost ${MAX_RACES} races in a row`)
  }

  /** Result of an earlier request with the same key; null: none, or no longer known. */
  async function known({ entry, body }: { entry: string; body: string }): Promise<AcceptResult | null> {
    const named = await store.idempotent(entry)
    const first = named && (await store.read(named.job))
    if (!named || !first) return null
    return named.body === body ? { kind: 'replayed', job: first } : { kind: 'key_reused' }
  }

  return {
    apply,
    known,
    look,
    /** Rings for what a commit owed. */
    ringFor,

    /** `idempotency`: the entry's name and the digest of the canonical body. */
    async accept(
      request: NewJob,
      id: string,
      idempotency: { entry: string; body: string } | null,
      limits: AcceptTerms = { queuedJobs: null },
    ): Promise<AcceptResult> {
      const job = newRecord(request, id, idempotency?.entry ?? null)
      const result = await store.create(job, idempotency, newCommitId(), limits)
      if (result.status === 'taken') return (idempotency && (await known(idempotency))) ?? { kind: 'too_late' }
      if (result.status === 'too_late' || result.status === 'budgets_changed') return { kind: 'too_late' }
      if (result.status === 'over_budget') {
        const { status: kind, ...over } = result
        return { kind, ...over }
      }
      if (result.status === 'full') return { kind: 'full', limit: result.limit }
      if (result.status === 'over_quota') return { kind: 'over_quota', beyond: result.beyond }
      if (result.status === 'short') return { kind: 'short', missing: result.missing }
      if (result.status === 'beyond') return { kind: 'beyond' }
      const accepted = result.status === 'applied' ? result.state.job : await store.read(id)
      if (!accepted) throw new Error(`job ${id} was accepted but cannot be read`)
      log.info({ job: id, tenant: job.tenant, model: job.model ?? job.version ?? job.deployment }, 'job queued')
      if (result.status === 'applied') void ringFor(result.owed)
      // Not awaited: the job is accepted, and due.
      if (untilReady(accepted, accepted.created_at) === 0)
        void ring('submit', () => doorbells.submit(placeOf(accepted)))
      return { kind: 'accepted', job: accepted }
    },

    /** `job_<ulid>`, increasing within this process. */
    newJobId: (): string => `job_${nextUlid()}`,

    /**
     * Applies an observed prediction: changes the job, or only its progress. `seen`: as for `apply`. `account`: where it was
     * seen; absent: in the account of the attempt.
     */
    async observe(
      id: string,
      attempt: number,
      prediction: Prediction,
      cause: Cause,
      {
        webhookId,
        seen,
        account,
        isHeld,
      }: { webhookId?: string; seen?: Seen; account?: string; isHeld?: boolean } = {},
    ): Promise<ApplyResult> {
      const result = await apply(
        id,
        {
          type: 'observed',
          attempt,
          prediction,
          ...(webhookId === undefined ? {} : { webhook_id: webhookId }),
          ...(account === undefined ? {} : { account }),
        },
        cause,
        seen,
        isHeld,
      )
      if (result.kind === 'ignored' && result.reason === 'no_news') {
        const { job } = result.state
        const progress = prediction.logs ? progressFromLogs(prediction.logs) : null
        const partial = partialText(prediction.output, { shape: job.output_shape, delivers })
        const logs = keepsLogs(job) ? keptLogs(prediction.logs) : ''
        const news = {
          progress: progress === job.progress ? null : progress,
          partial: partial === job.partial ? null : partial,
          ...(logs === '' ? {} : { logs }),
        }
        const own = job.webhook?.events.includes('job.progress')
        if (job.phase === 'running' && Object.values(news).some((one) => one !== null))
          try {
            if (await store.progress(id, job.tenant, news, own)) await doorbells.progress(id)
          } catch (error) {
            log.debug({ err: error, job: id }, 'could not write progress')
          }
      }
      if (result.kind === 'applied' && prediction.status === 'succeeded') {
        const model = modelOf(result.state.job)
        const from = prediction.created_at ?? result.state.job.prediction_created_at
        if (model !== null && from !== null && prediction.completed_at !== null)
          store.rememberRun(model, prediction.completed_at - from)
      }
      return result
    },
  }
}

/** Whether the change makes room for another job of the batch. */
const left = (before: JobRecord, after: JobRecord): boolean =>
  before.phase !== after.phase && (isFinal(after.phase) || after.phase === 'queued')

const modelOf = (job: JobRecord): string | null => job.model ?? job.deployment ?? job.version

export type Lifecycle = ReturnType<typeof createLifecycle>
