import { isTerminal, type Prediction } from '../../replicate/rules/prediction.ts'
import type { WebhookTokens } from '../../replicate/rules/webhook-token.ts'
import { attemptId } from '../../jobs/record/due-member.ts'
import { isFinal, type AttemptRecord, type JobState } from '../../jobs/rules/job.ts'
import type { Timings } from '../../jobs/rules/timings.ts'
import { problem, type Problem } from './finding.ts'

/** The facts of one attempt that are compared with upstream. */
export interface AttemptFacts {
  job: JobState['job']
  attempt: AttemptRecord
  /** Predictions that are being cancelled. */
  canceling: string[]
}

export interface UpstreamView {
  /** ms, Redis clock: before the list was requested, and so before any job was read */
  began: number
  predictions: Prediction[]
  tokens: WebhookTokens
}

/** Compares upstream's predictions with our attempts. `facts` by `<job>:<n>`, at least every attempt of the last hour. */
export function checkUpstream(
  { began, predictions, tokens }: UpstreamView,
  facts: ReadonlyMap<string, AttemptFacts>,
  /** Jobs with unreadable records, which may own any prediction. */
  unread: ReadonlySet<string>,
  { timings, quiescent }: { timings: Timings; quiescent: boolean },
): Problem[] {
  const byId = new Map(predictions.map((one) => [one.id, one]))
  const problems: Problem[] = []
  for (const prediction of predictions) problems.push(...checkToken(prediction))
  for (const one of facts.values()) problems.push(...checkFound(one), ...checkAgreement(one))
  return [...problems, ...checkLive()]

  function checkToken(prediction: Prediction): Problem[] {
    const target = prediction.webhook ? tokens.read(prediction.webhook) : null
    if (!target || unread.has(target.job)) return []
    const id = attemptId(target.job, target.attempt)
    const known = facts.get(id)
    if (!known) {
      // An older prediction may belong to a job that was cleaned up.
      const recent = (prediction.created_at ?? began) > began - timings.outputLifetime
      return recent
        ? [problem('prediction_ours', prediction.id, `carries the token of ${id}, which does not exist`)]
        : []
    }
    const { prediction_id, orphans, state, outcome } = known.attempt
    if (prediction_id === prediction.id || orphans.includes(prediction.id)) return []
    // The outcome is still being determined.
    if (prediction_id === null && (state === 'intended' || state === 'unknown')) return []
    const holder = prediction_id === null ? `is closed as ${outcome ?? 'nothing'}` : `owns ${prediction_id}`
    return [problem('prediction_ours', prediction.id, `an uncounted orphan: ${id} ${holder}`)]
  }

  /** Upstream keeps a prediction for an hour, and lists it with a delay after its creation. */
  function checkFound({ attempt, job }: AttemptFacts): Problem[] {
    const { prediction_id, intended_at, outcome, n } = attempt
    if (prediction_id === null || byId.has(prediction_id) || outcome === 'provider_lost') return []
    const shown = timings.permit + timings.createTimeout + timings.clockSkew + timings.listingLag
    if (!quiescent && intended_at + shown > began) return []
    if (intended_at < began - timings.outputLifetime + shown) return []
    return [problem('prediction_found', attemptId(job.id, n), `Replicate does not list ${prediction_id}`)]
  }

  function checkAgreement({ job, attempt }: AttemptFacts): Problem[] {
    const { prediction_id, outcome, n } = attempt
    const prediction = prediction_id === null ? undefined : byId.get(prediction_id)
    if (!prediction) return []
    const { status } = prediction
    const id = attemptId(job.id, n)
    // It was listed before the job was read, so it may have completed in between.
    if (!isTerminal(status) && !quiescent) return []
    if (outcome !== null && isTerminal(outcome) && outcome !== status)
      return [problem('upstream_agrees', id, `${outcome} here, ${prediction.id} is ${status} at Replicate`)]
    if (!isFinal(job.phase) || n !== job.attempt) return []
    const isGivenUp = job.phase === 'canceled' && outcome === 'succeeded'
    const excused = isGivenUp || job.error?.code === 'output_not_stored' || job.error?.billed === 'unknown'
    if ((job.phase === 'succeeded') !== (status === 'succeeded') && !excused)
      return [problem('upstream_agrees', job.id, `${job.phase} here, ${prediction.id} is ${status} at Replicate`)]
    return []
  }

  /** Each prediction that an attempt owns completed before the next one was created. */
  function checkLive(): Problem[] {
    const ofJob = Map.groupBy(
      [...facts.values()].flatMap((one) => {
        const prediction = byId.get(one.attempt.prediction_id ?? '')
        return prediction ? [{ ...one, prediction }] : []
      }),
      ({ job }) => job.id,
    )
    const found: Problem[] = []
    for (const [id, owned] of ofJob) {
      const inOrder = owned.toSorted((a, b) => a.attempt.n - b.attempt.n)
      for (const [i, { prediction, canceling }] of inOrder.entries()) {
        const next = inOrder[i + 1]?.prediction
        if (!next || canceling.includes(prediction.id)) continue
        const ended = prediction.completed_at ?? (isTerminal(prediction.status) ? 0 : Infinity)
        if (ended > (next.created_at ?? Infinity))
          found.push(
            problem('one_live_prediction', id, `${prediction.id} was still running when ${next.id} was created`),
          )
      }
    }
    return found
  }
}

/** Replays the token bucket of the commits over the intents of the last hour. */
export function checkBudget(
  intents: { id: string; at: number }[],
  { perMinute, burst }: { perMinute: number; burst: number },
): Problem[] {
  const interval = 60_000 / perMinute
  let arrival = 0
  for (const { id, at } of intents.toSorted((a, b) => a.at - b.at)) {
    arrival = Math.max(arrival, at)
    // Intent times are stored in whole ms.
    if (arrival - interval * (burst - 1) - at > 1)
      return [
        problem(
          'create_budget',
          id,
          `one create too many at ${new Date(at).toISOString()}: ${perMinute}/min, burst ${burst}`,
        ),
      ]
    arrival += interval
  }
  return []
}

/** Compares counters with a recount. `moved`: number of jobs that may have changed during the recount. */
export function checkCounters(
  key: string,
  counters: Record<string, number>,
  recount: ReadonlyMap<string, number>,
  moved: number,
): Problem[] {
  return [...new Set([...Object.keys(counters), ...recount.keys()])].flatMap((phase) => {
    const found = recount.get(phase) ?? 0
    const said = counters[phase] ?? 0
    if (Math.abs(said - found) <= moved) return []
    const fix: Problem['fix'] = moved === 0 ? [['hincrby', key, phase, String(found - said)]] : []
    const detail = `the counter says ${said}, there are ${found}`
    return [problem('counted', phase, detail, fix)]
  })
}
