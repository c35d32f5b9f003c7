import type { Readiness } from '../../client/client.ts'
import type { Health, WaitingFor } from '../../client/types.ts'
import { humanize } from '../format.ts'
import { readCheck } from './read-check.ts'

export const SOURCES: Record<string, string> = {
  webhook: 'By webhook',
  poll: 'By asking for the one',
  list: 'From the list',
  create: 'At the create',
  cancel: 'At the cancel',
}

export const PAUSES: Record<NonNullable<Health['pause']>['reason'], string> = {
  rate_limited: 'Replicate asked for a pause',
  upstream: 'Replicate is in trouble',
  account: 'Replicate refuses the account',
  storage: 'outputs cannot be stored',
}

export const WAIT_NAMES: Record<WaitingFor['reason'], string> = {
  budget: 'their turn in the budget',
  rate_limited: 'a pause that Replicate asked for',
  upstream: 'Replicate to work again',
  account: 'the account to be accepted',
  storage: 'outputs to be storable',
  outcome: 'to know whether a request arrived',
  preset_limit: 'others of their preset',
  sequence: 'those before them in their batch',
  max_spend: 'what their batch may spend',
  files: 'their input files to reach Replicate',
  copy: 'their outputs to be copied',
  stop: 'Replicate to confirm their stop',
  recovery: 'Redis to be compared with Replicate after its restart',
  redis: 'Redis to be usable',
  worker: 'a worker to run',
}

export interface Finding {
  what: string
  todo: string
}

/** From so many ends on their shares say something. */
const ENOUGH = 20
/** s; so late a webhook is later than a poll would be. */
const LATE_S = 15

/** What an operator should look at, and what to do about it (docs/operations.md). */
export function findingsOf(health: Health, readiness: Readiness): Finding[] {
  const findings: Finding[] = []
  const say = (when: boolean, what: string, todo: string): void => {
    if (when) findings.push({ what, todo })
  }
  for (const [name, check] of Object.entries(readiness.checks)) {
    const { ok, detail } = readCheck(check)
    // What holds up creation stands among the conditions.
    say(!ok && name !== 'creation', `${humanize(name)} is failing.`, detail)
  }
  const { pause, webhooks, finished_by, conditions } = health
  if (pause)
    say(
      true,
      `Nothing is created: ${PAUSES[pause.reason]}.`,
      pause.reason === 'account' ? 'Check the token and the credit at Replicate.' : 'It resumes automatically.',
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
    health.artifacts_at_risk === 1 ? 'An output is in danger.' : `${health.artifacts_at_risk} outputs are in danger.`,
    'Replicate removes them soon and they are not copied: look at the storage and at the workers’ log.',
  )
  say(
    webhooks.expected && webhooks.silent,
    'Webhooks do not arrive.',
    'Runs are completed by polling, so they finish later. Check PUBLIC_URL and the proxy in front of it.',
  )
  const ends = Object.values(finished_by).reduce((sum, count) => sum + count, 0)
  const asked = (finished_by['poll'] ?? 0) + (finished_by['list'] ?? 0)
  say(
    webhooks.expected && !webhooks.silent && ends >= ENOUGH && asked / ends > 0.5,
    'More completions are found by polling than by webhook.',
    'Webhooks get lost on their way: check the proxy in front of PUBLIC_URL.',
  )
  say(
    (webhooks.latency?.p90 ?? 0) > LATE_S,
    'Webhooks come late.',
    'One of ten takes longer than it takes to ask: look at the load, and at the clocks of both sides.',
  )
  say(health.due.overdue > 100, 'Work piles up.', 'Things are due and nobody takes them: start more workers.')
  say(
    health.outcomes_unknown > 0,
    health.outcomes_unknown === 1
      ? 'Of one create it is not known whether it arrived.'
      : `Of ${health.outcomes_unknown} creates it is not known whether they arrived.`,
    'They are settled by webhook or from Replicate’s list, within minutes.',
  )
  return findings
}

/** Conditions that other findings show with a number. */
const ELSEWHERE = new Set(['outputs_at_risk', 'webhooks_silent', 'redis_unfit', 'storage_failing'])

const sentence = (detail: string): string => `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`

/** How completions reach this deployment, when nothing is wrong with it. */
export function webhookWords({ webhooks, finished_by }: Pick<Health, 'webhooks' | 'finished_by'>): string {
  if (!webhooks.expected) return 'Runs are completed by polling: PUBLIC_URL is not set.'
  const haveArrived = webhooks.latency !== null || (finished_by['webhook'] ?? 0) > 0
  return haveArrived ? 'Webhooks arrive.' : 'No webhook has arrived yet.'
}
