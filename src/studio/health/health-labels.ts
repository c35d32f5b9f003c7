import type { Readiness } from '../../client/client.ts'
import type { Health, WaitingFor } from '../../client/types.ts'
import { humanize } from '../format.ts'
import { readCheck } from './read-check.ts'

export const SOURCES: Record<string, string> = {
  webhook: 'By webhook',
  poll: 'By polling',
  list: 'By listing',
  create: 'In the create response',
  cancel: 'In the cancel response',
}

export const PAUSES: Record<NonNullable<Health['pause']>['reason'], string> = {
  rate_limited: 'Replicate is rate limiting this account',
  upstream: 'Replicate is failing',
  account: 'Replicate refuses the account',
  webhook: 'Replicate refuses the webhook URL',
  storage: 'outputs cannot be stored',
}

const PAUSE_FIXES: Partial<typeof PAUSES> = {
  account: 'Check the token and the credit at Replicate.',
  webhook: 'Set PUBLIC_URL to an https URL that Replicate can reach, or remove it.',
}

export const WAIT_NAMES: Record<WaitingFor['reason'], string> = {
  budget: 'budget of creates',
  rate_limited: 'Replicate’s rate limit',
  upstream: 'Replicate to recover',
  account: 'Replicate to accept the account',
  webhook: 'Replicate to accept the webhook URL',
  storage: 'the storage to recover',
  outcome: 'the outcome of a create request',
  scheduled: 'their start time',
  preset_limit: 'their preset’s concurrency limit',
  paused: 'a pause by an operator',
  concurrency: 'a limit of jobs in flight',
  sequence: 'earlier runs of their batch',
  max_spend: 'their batch’s spending limit',
  files: 'input files to be uploaded',
  copy: 'outputs to be copied',
  stop: 'Replicate to confirm a cancellation',
  recovery: 'Redis to be compared with Replicate',
  redis: 'Redis to recover',
  worker: 'a worker',
}

export interface Finding {
  what: string
  todo: string
}

/** Smallest number of completions whose shares are meaningful. */
const ENOUGH = 20
/** Seconds; a webhook later than this is later than a poll. */
const LATE_S = 15

/** Problems for the operator, each with its remedy (docs/operations.md). */
export function findingsOf(health: Health, readiness: Readiness): Finding[] {
  const findings: Finding[] = []
  const say = (when: boolean, what: string, todo: string): void => {
    if (when) findings.push({ what, todo })
  }
  for (const [name, check] of Object.entries(readiness.checks)) {
    const { ok, detail } = readCheck(check)
    // A pause of creation is among the conditions.
    say(!ok && name !== 'creation', `${humanize(name)} is failing.`, detail)
  }
  const { pause, webhooks, finished_by, conditions } = health
  // A refused token pauses creation too: one cause, one problem.
  if (pause)
    say(
      !(pause.reason === 'account' && conditions.some(({ name }) => name === 'token_refused')),
      `Creation is paused: ${PAUSES[pause.reason]}.`,
      PAUSE_FIXES[pause.reason] ?? 'It resumes automatically.',
    )
  const isShown = (name: string): boolean => name.startsWith('pause_') || ELSEWHERE.has(name)
  for (const { name, title, detail, processes } of conditions)
    say(
      !isShown(name),
      title,
      processes === 1 ? sentence(detail) : `${sentence(detail)} ${processes} processes report it.`,
    )
  say(
    health.artifacts_at_risk > 0,
    health.artifacts_at_risk === 1
      ? 'One output is at risk.'
      : `${health.artifacts_at_risk.toLocaleString()} outputs are at risk.`,
    'Replicate removes uncopied outputs soon. Check the storage and the workers’ log.',
  )
  say(
    webhooks.expected && webhooks.silent,
    'No webhooks arrive.',
    'Runs are completed by polling, so they finish later. The doctor below says why.',
  )
  const completions = Object.values(finished_by).reduce((sum, count) => sum + count, 0)
  const polled = (finished_by['poll'] ?? 0) + (finished_by['list'] ?? 0)
  say(
    webhooks.expected && !webhooks.silent && completions >= ENOUGH && polled / completions > 0.5,
    'Polling detects more completions than webhooks do.',
    'Webhooks are being lost. The doctor below tries the way that they take.',
  )
  say(
    (webhooks.latency?.p90 ?? 0) > LATE_S,
    'Webhooks are late.',
    'One in ten takes longer than polling would. Check the load and the clocks of both sides.',
  )
  say(health.due.overdue > 100, 'Work is piling up.', 'Due work is not picked up. Start more workers.')
  say(
    health.outcomes_unknown > 0,
    health.outcomes_unknown === 1
      ? 'One create request has an unknown outcome.'
      : `${health.outcomes_unknown} create requests have unknown outcomes.`,
    'They are resolved by webhook or from Replicate’s list, within minutes.',
  )
  return findings
}

/** Conditions covered by other findings, which show a number. */
const ELSEWHERE = new Set(['outputs_at_risk', 'webhooks_silent', 'redis_unfit', 'storage_failing'])

const sentence = (detail: string): string => `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`

/** How completions reach a healthy deployment. */
export function webhookStatus({ webhooks, finished_by }: Pick<Health, 'webhooks' | 'finished_by'>): string {
  if (!webhooks.expected) return 'Runs are completed by polling: PUBLIC_URL is not set.'
  const haveArrived = webhooks.latency !== null || (finished_by['webhook'] ?? 0) > 0
  return haveArrived ? 'Webhooks arrive.' : 'No webhook has arrived yet.'
}

/** Why fewer creates are made than the configured budget allows. */
export const rateNote = ({ per_minute, ceiling }: Health['budget']['creates']): string =>
  `Replicate allows ${per_minute.toLocaleString()} creates a minute at present, instead of ${ceiling.toLocaleString()}. The rate rises by itself.`
