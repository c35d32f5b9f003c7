import { userInfo } from 'node:os'
import type { Command } from 'commander'
import type { ManualPause, OperatorChange, ScopeLimits } from '../shared/limits/ports.ts'
import {
  limitChangeSchema,
  pauseRequestSchema,
  resumeSchema,
  UNLIMITED,
  type LimitName,
} from '../shared/limits/rules/limit-requests.ts'
import { changeView, limitsView, pauseView } from '../shared/limits/rules/limit-view.ts'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT, RefusedError } from './failures.ts'
import { printRecords } from './print-records.ts'
import { readRequest } from './read-options.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note } from './terminal.ts'

interface Given {
  concurrency?: string
  perTenant?: string
  weight?: string
  createsPerMinute?: string
  reason?: string
  json?: boolean
}

const EXITS = '0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused.'
const SCOPES = 'account:<name>, model:<owner/name>, deployment:<owner/name>, preset:<name> or tenant:<id>'

/** Who makes a change on this command line. */
const author = (): string => `command line, ${userInfo().username}`

/** A number, `unlimited`, or `default` for what the preset or the configuration says. */
function readValue(name: string, text: string | undefined): number | typeof UNLIMITED | null | undefined {
  if (text === undefined) return undefined
  if (text === 'default') return null
  if (text === UNLIMITED) return UNLIMITED
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(text)) throw new Error(`--${name}: expected a number, or default`)
  return Number(text)
}

function printLimits(limits: readonly ScopeLimits[], json: boolean): void {
  const views = limits.map(limitsView)
  const value =
    (name: LimitName) =>
    (view: (typeof views)[number]): string | null => {
      const isSet = view.set.includes(name)
      if (view[name] === null) return isSet ? UNLIMITED : null
      return `${view[name]}${isSet ? '' : ' (default)'}`
    }
  printRecords(views, {
    json,
    columns: {
      scope: ({ scope }) => scope,
      'in flight': ({ in_flight }) => in_flight,
      concurrency: value('concurrency'),
      'per tenant': value('per_tenant'),
      weight: value('weight'),
      'creates/min': value('creates_per_minute'),
    },
  })
}

const printPauses = (pauses: readonly ManualPause[], json: boolean): void =>
  printRecords(pauses.map(pauseView), {
    json,
    columns: {
      scope: ({ scope }) => scope,
      since: ({ since }) => since,
      by: ({ by }) => by,
      reason: ({ reason }) => reason,
    },
  })

const printChanges = (changes: readonly OperatorChange[], json: boolean): void =>
  printRecords(changes.map(changeView), {
    json,
    columns: {
      at: ({ at }) => at,
      by: ({ by }) => by,
      action: ({ action }) => action,
      scope: ({ scope }) => scope,
      detail: ({ detail }) => JSON.stringify(detail),
    },
  })

const CHANGES_SHOWN = 100

export const limitsCommand: DefineCommand = (limits, finish) => {
  describeOperator(limits, 'Shows and sets limits at run time.', EXITS)
  const action = (name: string, summary: string): Command =>
    addAction(limits, name, summary).option('--json', 'print each one as a line of JSON')

  action('list', 'shows the limits of accounts, models, deployments, presets and tenants').action(
    async ({ json = false }: Given) =>
      finish(
        await runOperatorCommand(async (tools) => {
          printLimits(await tools.limits.limits(), json)
          return EXIT.ok
        }),
      ),
  )
  action('set', 'sets limits of a scope; limits that are not named stay')
    .argument('<scope>', SCOPES)
    .option('--concurrency <n>', 'jobs in flight at once: a number, "unlimited", or "default" for what the preset says')
    .option('--per-tenant <n>', 'of a preset, for each tenant: the same')
    .option('--weight <n>', 'share of a tenant beside others, or "default" for 1')
    .option('--creates-per-minute <n>', 'the most predictions of an account, or "default" for the configured budget')
    .action(async (scope: string, { json = false, ...given }: Given) => {
      const change = readRequest(limitChangeSchema, {
        scope,
        concurrency: readValue('concurrency', given.concurrency),
        per_tenant: readValue('per-tenant', given.perTenant),
        weight: readValue('weight', given.weight),
        creates_per_minute: readValue('creates-per-minute', given.createsPerMinute),
      })
      finish(
        await runOperatorCommand(async (tools) => {
          printLimits([await tools.limits.change(change, author())], json)
          return EXIT.ok
        }),
      )
    })
  action('changes', 'shows the last hundred changes of limits and pauses, newest first').action(
    async ({ json = false }: Given) =>
      finish(
        await runOperatorCommand(async (tools) => {
          printChanges(await tools.limits.changes(CHANGES_SHOWN), json)
          return EXIT.ok
        }),
      ),
  )
}

export const pauseCommand: DefineCommand = (pause, finish) => {
  describeOperator(
    pause,
    'Pauses creation by hand, or shows what is paused. Jobs in flight go on; waiting jobs show the reason, and the time does not count for their start_within.',
    EXITS,
  )
    .argument('[scope]', `all, ${SCOPES}; without it, all pauses are shown`)
    .option('--reason <text>', 'the reason that owners of waiting jobs see')
    .option('--json', 'print each pause as a line of JSON')
    .action(async (scope: string | undefined, { reason, json = false }: Given) => {
      const asked = scope === undefined ? null : readRequest(pauseRequestSchema, { scope, reason })
      finish(
        await runOperatorCommand(async ({ limits }) => {
          printPauses(
            asked === null ? await limits.pauses() : [await limits.pause(asked.scope, asked.reason, author())],
            json,
          )
          return EXIT.ok
        }),
      )
    })
}

export const resumeCommand: DefineCommand = (resume, finish) => {
  describeOperator(resume, 'Ends a pause by hand.', EXITS)
    .argument('<scope>', `all, ${SCOPES}`)
    .action(async (text: string) => {
      const { scope } = readRequest(resumeSchema, { scope: text })
      finish(
        await runOperatorCommand(async ({ limits }) => {
          if (!(await limits.resume(scope, author()))) throw new RefusedError('not_found', `${scope} is not paused.`)
          note(`Creation for ${scope} resumes.`)
          return EXIT.ok
        }),
      )
    })
}
