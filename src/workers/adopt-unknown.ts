import { attemptOf, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { Lifecycle } from '../shared/jobs/lifecycle.ts'
import { dueAttempt } from '../shared/jobs/record/due-member.ts'
import type { DueTimes, InputReader, JobLoader, JobReader, PredictionIndex, RedisClock } from '../shared/jobs/ports.ts'
import { listingCounts } from '../shared/jobs/rules/submit.ts'
import { ageBased, type Timings } from '../shared/jobs/rules/timings.ts'
import type { Logger } from '../shared/process/logger.ts'
import { createTroubleLog } from '../shared/process/trouble-log.ts'
import type { Prediction } from '../shared/replicate/rules/prediction.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'
import type { WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import { sameButFiles } from '../shared/inputs/rules/reference.ts'
import { listAll } from './list-window.ts'
import { unlessUnreadable } from './unless-unreadable.ts'

export interface AdoptDependencies {
  store: JobReader & InputReader & JobLoader & PredictionIndex & DueTimes & RedisClock
  lifecycle: Lifecycle
  accounts: Pick<Accounts, 'of'>
  tokens: WebhookTokens
  timings: Timings
  log: Logger
}

/** Bound for the arrival of a POST after its intent; no request is delayed for longer. */
const LATEST_ARRIVAL_MS = 5 * 60_000

interface Unknown {
  job: string
  attempt: number
  intended_at: number
}

/**
 * Searches for the predictions of creates with an unknown outcome, for all of an account at once: lists the predictions
 * since the oldest intent, reads every prediction that no attempt owns, and adopts those whose webhook URL carries our job,
 * attempt and token. A complete listing without a prediction is evidence that none exists.
 */
export function createAdoptUnknown(dependencies: AdoptDependencies) {
  const { store, lifecycle, accounts, tokens, timings, log } = dependencies
  const trouble = createTroubleLog(log)
  /** Reads the predictions that no attempt owns. Returns those without a webhook URL; null when one could not be read. */
  async function readUnowned(account: string, ids: string[], signal: AbortSignal): Promise<Prediction[] | null> {
    const { upstream, reads } = accounts.of(account)
    const blind: Prediction[] = []
    // Another process may sign with a newer key: without a refresh our own predictions would look foreign.
    await tokens.refresh({ now: true })
    for (const id of await store.unowned(account, ids)) {
      await reads.of('adopt').take(signal)
      const outcome = await upstream.get(id)
      if (outcome.kind === 'not_found') continue
      if (outcome.kind !== 'prediction') return null
      const { prediction } = outcome
      const target = prediction.webhook ? tokens.read(prediction.webhook) : null
      if (target)
        await unlessUnreadable(log, target.job, () =>
          lifecycle.observe(target.job, target.attempt, prediction, 'list', { account }),
        )
      else if (prediction.webhook) await store.rememberForeign(account, id)
      else blind.push(prediction)
    }
    return blind
  }

  /** Whether the prediction was created when the attempt's POST may have arrived; an unknown time always matches. */
  const inTime = ({ intended_at }: Unknown, { created_at }: Prediction): boolean =>
    created_at === null ||
    (created_at >= intended_at - timings.clockSkew &&
      created_at <= intended_at + timings.permit + timings.createTimeout + timings.clockSkew)

  const couldBe = (unknown: Unknown, job: JobRecord, prediction: Prediction): boolean =>
    inTime(unknown, prediction) &&
    (job.model === null || prediction.model === job.model) &&
    sameButFiles(job.input ?? {}, prediction.input ?? {})

  /** Fallback when upstream hides the webhook: matches by model, input and time, only when unambiguous. */
  async function matchBlind(unknowns: Unknown[], blind: Prediction[]): Promise<void> {
    if (blind.length !== unknowns.length) return
    for (const unknown of unknowns) {
      const job = await unlessUnreadable(log, unknown.job, async () => {
        const record = await store.read(unknown.job)
        return record && store.whole(record)
      })
      const matches = job ? blind.filter((prediction) => couldBe(unknown, job, prediction)) : []
      const [only] = matches
      if (matches.length === 1 && only) {
        log.warn({ ...unknown, prediction: only.id }, 'adopted by model, input and time: upstream hides the webhook')
        await unlessUnreadable(log, unknown.job, () => lifecycle.observe(unknown.job, unknown.attempt, only, 'list'))
      }
    }
  }

  async function look(account: string, unknowns: Unknown[], signal: AbortSignal): Promise<void> {
    const began = await store.now()
    const times = unknowns.map(({ intended_at }) => intended_at)
    const { upstream, reads } = accounts.of(account)
    const listed = await listAll(
      { upstream, reads: reads.of('adopt') },
      {
        after: Math.min(...times) - timings.clockSkew - timings.listingLag,
        // Includes a prediction whose request was delayed for longer than expected.
        before: Math.min(began, Math.max(...times) + LATEST_ARRIVAL_MS) + timings.clockSkew,
      },
      signal,
    )
    if (listed.kind === 'incomplete') {
      trouble.failed(account, { account, ...listed.failure }, 'the predictions could not be listed')
      return
    }
    trouble.ended(account, { account }, 'the predictions can be listed again')
    const blind = await readUnowned(
      account,
      listed.predictions.map(({ id }) => id),
      signal,
    )
    if (blind === null) return
    await matchBlind(unknowns, blind)
    for (const unknown of unknowns) {
      const { job, attempt, intended_at } = unknown
      // A prediction of that time without a webhook URL could be the one.
      const proves = listingCounts(intended_at, began, timings) && !blind.some((row) => inTime(unknown, row))
      if (proves)
        await unlessUnreadable(log, job, () => lifecycle.apply(job, { type: 'not_listed', attempt, began }, 'list'))
    }
  }

  return async (account: string, signal: AbortSignal): Promise<void> => {
    const unknowns = await store.unknownAttempts(account)
    if (unknowns.length === 0) return
    await look(account, unknowns, signal)
    const now = await store.now()
    for (const unknown of await store.unknownAttempts(account)) {
      const { job, attempt } = unknown
      const loaded = await unlessUnreadable(log, job, () => store.load(job))
      const isUnknown = loaded === null || (loaded.state && attemptOf(loaded.state, attempt)?.state === 'unknown')
      if (isUnknown) await store.rearm(dueAttempt(job, attempt), ageBased(now - unknown.intended_at, timings.listAgain))
    }
  }
}
