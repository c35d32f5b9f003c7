import type { Command } from 'commander'
import type { Health } from '../client/types.ts'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT } from './failures.ts'
import { span } from './format.ts'
import { printTable } from './print-job.ts'
import { printJson, printLine } from './terminal.ts'

/** `health`: the state of the deployment, and its problems. */
export function addHealth(program: Command, finish: Finish): void {
  const command = program
    .command('health')
    .summary('shows the state of the deployment')
    .description('Shows the state of the deployment and its problems. Needs a key with the scope admin.')
  withConnection(command).action(async () => {
    finish(await health(command.opts<ConnectionOptions>()))
  })
}

async function health(options: ConnectionOptions): Promise<number> {
  const client = await connect(options)
  const state = await client.health()
  const isWell = state.conditions.length === 0 && state.pause === null
  if (options.json) printJson(state)
  else {
    for (const { title, detail } of state.conditions) printLine(`PROBLEM  ${title} ${detail}`)
    // Conditions explain a pause, except for a moment.
    if (state.pause && state.conditions.length === 0) printLine(`PROBLEM  Creation is paused: ${state.pause.reason}`)
    if (isWell) printLine('No problems.')
    printTable([
      ['jobs', counts(Object.entries(state.jobs))],
      ['waiting', counts(state.waiting.reasons.map(({ reason, jobs }) => [reason, jobs]))],
      ['predictions', `${state.predictions_open} in flight`],
      ['creates', creates(state.budget.creates)],
      ['reads', allowance(state.budget.reads)],
      ...(state.accounts.length > 1 ? state.accounts.map(accountRow) : []),
      ['webhooks', webhooks(state.webhooks)],
      ['finished by', counts(Object.entries(state.finished_by))],
      ['at risk', state.artifacts_at_risk === 0 ? null : `${state.artifacts_at_risk} outputs`],
      ['unknown', state.outcomes_unknown === 0 ? null : `${state.outcomes_unknown} create requests`],
    ])
  }
  return isWell ? EXIT.ok : EXIT.failed
}

const counts = (entries: readonly (readonly [string, number | undefined])[]): string =>
  entries.flatMap(([name, count]) => (count ? [`${count} ${name}`] : [])).join(', ') || 'none'

const allowance = ({ free, per_minute, burst }: Health['budget']['reads']): string =>
  `${free} free now, ${per_minute} per minute, ${burst} at once`

const creates = (rate: Health['budget']['creates']): string =>
  rate.quiet_since === null ? allowance(rate) : `${allowance(rate)}, lowered from ${rate.ceiling} by 429s`

type AccountHealth = Health['accounts'][number]

function accountRow({ name, predictions_open, budget, pause }: AccountHealth): [string, string] {
  const state = pause === null ? creates(budget.creates) : `paused: ${pause.reason}`
  return [`account ${name}`, `${predictions_open} in flight, ${state}`]
}

function webhooks({ expected, silent, latency, dead_letters }: Health['webhooks']): string {
  const state = !expected ? 'not expected, results are polled' : silent ? 'expected, none arrive' : 'expected'
  const late = latency === null ? '' : `, p50 ${span(latency.p50)}, p90 ${span(latency.p90)}`
  return `${state}${late}${dead_letters === 0 ? '' : `, ${dead_letters} unusable`}`
}
