import { monotonicFactory } from 'ulid'
import type { Logger } from '../logger.ts'
import type { Prediction } from '../replicate/prediction.ts'
import { partialText } from '../artifacts/output.ts'
import { progressFromLogs } from '../replicate/progress-from-logs.ts'
import type { Cause, JobRecord, JobState, JsonObject, OnUnknown, WebhookEvent } from './job.ts'
import type { Timings } from './timings.ts'
import { newCommitId } from './commit-id.ts'
import type { Commit, Ignored, JobEvent } from './decision.ts'
import { SILENT_FROM, type Doorbells, type JobStore } from './ports.ts'
import { waitsForIntent } from './rules-submit.ts'
import { transition } from './transitions.ts'

export interface LifecycleOptions {
  store: JobStore
  doorbells: Doorbells
  timings: Timings
  log: Logger
  /** Whether webhooks can reach this deployment. */
  webhooks: () => boolean
  /** How often a prediction that failed for reasons of the platform is made anew. */
  resubmissions: number
}

/** What a job needs to be accepted; already validated. */
export interface NewJob {
  tenant: string
  account: string
  model: string | null
  version: string | null
  deployment: string | null
  input: JsonObject
  metadata: JsonObject
  webhook_events: WebhookEvent[]
  timeout: number
  start_within: number
  on_unknown: OnUnknown
  retry_of: string | null
}

export type AcceptResult =
  | { kind: 'accepted'; job: JobRecord }
  | { kind: 'replayed'; job: JobRecord }
  | { kind: 'key_reused' }
  | { kind: 'too_late' }

export type ApplyResult =
  | { kind: 'applied'; state: JobState }
  | { kind: 'ignored'; reason: Ignored['reason']; state: JobState }
  | { kind: 'missing' }
  | { kind: 'limited' | 'paused'; waitMs: number }
  | { kind: 'probing' }
  | { kind: 'taken'; holder: string }

/** More lost races than this in a row mean that something is wrong with the record, not with the timing. */
const MAX_RACES = 50

const RUN_TIMES_FRESH_MS = 30_000

/** The use cases of a job: accept it, and apply what happened to it. Every writer goes through here. */
export function createLifecycle({ store, doorbells, timings, log, webhooks, resubmissions }: LifecycleOptions) {
  const nextUlid = monotonicFactory()

  /** A lost doorbell costs time only: the sweep rings again. */
  const ring = async (what: string, sound: () => Promise<void>): Promise<void> => {
    try {
      await sound()
    } catch (error) {
      log.warn({ err: error, what }, 'doorbell not rung; the sweep will')
    }
  }

  async function announce(before: JobRecord, state: JobState, commit: Commit, cause: Cause): Promise<void> {
    const { job } = state
    if (before.phase !== job.phase)
      log.info(
        { job: job.id, attempt: job.attempt, prediction: job.prediction_id, from: before.phase, to: job.phase, cause },
        `job ${job.phase}`,
      )
    if (commit.orphans)
      log.error({ job: job.id, attempt: commit.attempt?.n, cause }, 'a prediction that no attempt owns came to light')
    if (commit.pause) log.warn({ ...commit.pause, job: job.id }, 'creation is paused')
    // A job that is made anew keeps its phase when an attempt came to nothing.
    const settled = job.phase !== before.phase || commit.attempt?.changes.state === 'closed'
    if (settled && waitsForIntent(state)) await ring('submit', () => doorbells.submit(job.id))
    await Promise.all(commit.effects.add.map((effect) => ring(effect.kind, () => doorbells.effect(job.id, effect))))
  }

  /** When webhooks stop or start coming, the operator should read it once. */
  let silent = false
  function tellSilence(silence: number, cause: Cause): void {
    const now = cause === 'webhook' ? false : silent || silence >= SILENT_FROM
    if (now !== silent && webhooks())
      log.warn(now ? 'webhooks do not come; predictions are looked after by polling' : 'webhooks come again')
    silent = now
  }

  /** p90 of the job's model, kept for a while: it only decides when the first poll is due. */
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

  /**
   * Loads the job, decides, commits; decides again when somebody was faster. Throws when Redis does not answer: then it
   * is not known whether the commit happened.
   */
  async function apply(
    id: string,
    event: JobEvent | ((commitId: string) => JobEvent),
    cause: Cause,
  ): Promise<ApplyResult> {
    for (let race = 0; race < MAX_RACES; race++) {
      const commitId = newCommitId()
      const { now, paused, silence, state } = await store.load(id)
      if (state === null) return { kind: 'missing' }
      const expected = await expectedRun(state.job)
      const context = {
        now,
        paused,
        cause,
        timings,
        webhooks: webhooks() && silence < SILENT_FROM,
        expected,
        resubmissions,
      }
      const decision = transition(state, typeof event === 'function' ? event(commitId) : event, context)
      if (decision.kind === 'ignored') return { kind: 'ignored', reason: decision.reason, state }
      const result = await store.commit(state, decision, cause, commitId)
      switch (result.status) {
        case 'applied':
          await announce(state.job, result.state, decision, cause)
          tellSilence(silence, cause)
          return { kind: 'applied', state: result.state }
        case 'repeated': {
          const again = await store.load(id)
          if (again.state === null) return { kind: 'missing' }
          await announce(state.job, again.state, decision, cause)
          return { kind: 'applied', state: again.state }
        }
        case 'limited':
        case 'paused':
          return { kind: result.status, waitMs: result.waitMs }
        case 'probing':
          return { kind: 'probing' }
        case 'taken':
          return { kind: 'taken', holder: result.holder }
        case 'too_late':
        case 'stale':
          break
      }
    }
    throw new Error(`job ${id} changed ${MAX_RACES} times while one change was being decided`)
  }

  return {
    apply,

    /** `idempotency`: the entry's name and the digest of the canonical body. */
    async accept(
      request: NewJob,
      id: string,
      idempotency: { entry: string; body: string } | null,
    ): Promise<AcceptResult> {
      const job: JobRecord = {
        v: 1,
        id,
        rev: 0,
        ...request,
        phase: 'queued',
        status: 'queued',
        attempt: 0,
        prediction_id: null,
        output: null,
        artifacts: [],
        progress: null,
        partial: null,
        error: null,
        metrics: {},
        stop: null,
        idempotency: idempotency?.entry ?? null,
        created_at: 0,
        submitted_at: null,
        prediction_created_at: null,
        started_at: null,
        completed_at: null,
        start_since: 0,
        start_paused: 0,
        resubmissions: 0,
      }
      const result = await store.create(job, idempotency, newCommitId())
      if (result.status === 'taken') {
        const known = idempotency && (await store.idempotent(idempotency.entry))
        const first = known && (await store.read(known.job))
        if (!known || !first) return { kind: 'too_late' }
        return known.body === idempotency.body ? { kind: 'replayed', job: first } : { kind: 'key_reused' }
      }
      if (result.status === 'too_late') return { kind: 'too_late' }
      const accepted = result.status === 'applied' ? result.state.job : await store.read(id)
      if (!accepted) throw new Error(`job ${id} was accepted but cannot be read`)
      log.info({ job: id, tenant: job.tenant, model: job.model ?? job.version ?? job.deployment }, 'job queued')
      await ring('submit', () => doorbells.submit(id))
      return { kind: 'accepted', job: accepted }
    },

    /** `job_<ulid>`, growing within this process. */
    newJobId: (): string => `job_${nextUlid()}`,

    /** A prediction as somebody saw it: changes the job, or at least moves its progress. */
    async observe(
      id: string,
      attempt: number,
      prediction: Prediction,
      cause: Cause,
      webhookId?: string,
    ): Promise<ApplyResult> {
      const result = await apply(
        id,
        { type: 'observed', attempt, prediction, ...(webhookId === undefined ? {} : { webhook_id: webhookId }) },
        cause,
      )
      if (result.kind === 'ignored' && result.reason === 'no_news') {
        const { job } = result.state
        const progress = prediction.logs ? progressFromLogs(prediction.logs) : null
        const partial = partialText(prediction.output)
        if ((progress !== null && progress !== job.progress) || (partial !== null && partial !== job.partial))
          await store.progress(id, job.tenant, { progress, partial }).catch((error: unknown) => {
            log.debug({ err: error, job: id }, 'progress not written')
          })
      }
      if (result.kind === 'applied' && prediction.status === 'succeeded') {
        const model = modelOf(result.state.job)
        const from = prediction.created_at ?? result.state.job.prediction_created_at
        if (model !== null && from !== null && prediction.completed_at !== null)
          await store.rememberRun(model, prediction.completed_at - from).catch((error: unknown) => {
            log.debug({ err: error, model }, 'run time not remembered')
          })
      }
      return result
    },
  }
}

const modelOf = (job: JobRecord): string | null => job.model ?? job.deployment ?? job.version

export type Lifecycle = ReturnType<typeof createLifecycle>
