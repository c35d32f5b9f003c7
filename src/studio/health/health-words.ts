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
  upstream: 'Replicate to be well again',
  account: 'the account to be accepted',
  storage: 'outputs to be storable',
  outcome: 'to know whether a request arrived',
  preset_limit: 'others of their preset',
  sequence: 'those before them in their batch',
  max_spend: 'what their batch may spend',
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
    say(!ok, `${humanize(name)} is in trouble.`, detail)
  }
  const { pause, webhooks, finished_by } = health
  if (pause)
    say(
      true,
      `Nothing is created: ${PAUSES[pause.reason]}.`,
      pause.reason === 'account' ? 'Check the token and the credit at Replicate.' : 'It goes on by itself.',
    )
  say(
    health.artifacts_at_risk > 0,
    health.artifacts_at_risk === 1 ? 'An output is in danger.' : `${health.artifacts_at_risk} outputs are in danger.`,
    'Replicate removes them soon and they are not copied: look at the storage and at the workers’ log.',
  )
  say(
    webhooks.silent,
    'Webhooks do not arrive.',
    'Runs finish later, by asking. Check PUBLIC_URL and what stands before it.',
  )
  const ends = Object.values(finished_by).reduce((sum, count) => sum + count, 0)
  const asked = (finished_by['poll'] ?? 0) + (finished_by['list'] ?? 0)
  say(
    !webhooks.silent && ends >= ENOUGH && asked / ends > 0.5,
    'More ends are found by asking than by webhook.',
    'Without PUBLIC_URL that is how it works; with it, webhooks get lost on their way.',
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
