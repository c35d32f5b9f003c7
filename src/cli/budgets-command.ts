import type { Command } from 'commander'
import type { OperatorTools } from '../compose/operators.ts'
import { budgetChangeSchema, budgetListSchema, budgetRequestSchema } from '../shared/credits/rules/budget-requests.ts'
import type { BudgetView } from '../shared/credits/rules/budget-view.ts'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { once } from './once.ts'
import { printRecords } from './print-records.ts'
import { readRequest } from './read-options.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note } from './terminal.ts'

interface Given {
  tenant?: string
  key?: string
  preset?: string
  user?: string
  period?: string
  timeZone?: string
  limit?: string
  hard?: boolean
  soft?: boolean
  alertAt?: string
  title?: string
  idempotencyKey?: string
  json?: boolean
}

type BudgetAction = (tools: Pick<OperatorTools, 'budgets'>, given: Given, id: string) => Promise<void>

const print = (budgets: readonly BudgetView[], json: boolean): void =>
  printRecords(budgets, {
    json,
    columns: {
      id: ({ id }) => id,
      of: ({ scope, tenant, key_id, preset, user }) =>
        [scope, key_id ?? preset ?? (scope === 'user' ? (user ?? 'each') : null), tenant].filter(Boolean).join(' '),
      period: ({ period, time_zone }) => `${period} ${time_zone}`,
      limit: ({ limit, hard }) => `${limit} ${hard ? 'hard' : 'soft'}`,
      used: ({ used }) => used,
      resets: ({ resets_at }) => resets_at,
      title: ({ title }) => title,
    },
  })

function readWhole(option: string, text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw new Error(`${option}: expected a whole number, such as 5000000`)
  return Number(text)
}

/** Fields that requests of a new budget and of a change have. */
function sharedFields({ limit, hard, soft, alertAt, title }: Given) {
  if (hard && soft) throw new Error('--hard and --soft exclude each other')
  const percents = alertAt === 'none' ? [] : alertAt?.split(',')
  return {
    ...(title === undefined ? {} : { title }),
    ...(limit === undefined ? {} : { limit: readWhole('--limit', limit) }),
    ...(hard ? { hard: true } : soft ? { hard: false } : {}),
    ...(percents === undefined ? {} : { alert_at: percents.map((text) => readWhole('--alert-at', text.trim())) }),
  }
}

const ACTIONS = {
  async list({ budgets }, { tenant, json = false }) {
    const asked = readRequest(budgetListSchema, { tenant })
    print(await budgets.list(asked.tenant ?? null), json)
  },

  async show({ budgets }, { json = false }, id) {
    print([await budgets.read(id)], json)
  },

  async create({ budgets }, given) {
    const { tenant, key, preset, user, period, timeZone, idempotencyKey, json = false } = given
    const named = key !== undefined ? 'key' : preset !== undefined ? 'preset' : user !== undefined ? 'user' : 'tenant'
    const asked = readRequest(budgetRequestSchema, {
      scope: named,
      tenant,
      key_id: key,
      preset,
      user: user === 'each' ? null : user,
      period,
      time_zone: timeZone,
      ...sharedFields(given),
    })
    const { budget, repeated } = await once(idempotencyKey, (name) => budgets.create(asked, name))
    if (repeated) note('This budget already existed.')
    print([budget], json)
  },

  async change({ budgets }, given, id) {
    print([await budgets.change(id, readRequest(budgetChangeSchema, sharedFields(given)))], given.json ?? false)
  },

  async remove({ budgets }, _given, id) {
    await budgets.remove(id)
    note(`Budget ${id} does not exist any more.`)
  },
} satisfies Record<string, BudgetAction>

const withLimits = (command: Command): Command =>
  command
    .option('--hard', 'refuse jobs beyond the limit (default)')
    .option('--soft', 'only count and alert')
    .option('--alert-at <percents|none>', 'percents of the limit at which budget.alert is sent (default: 80,100)')
    .option('--title <text>', 'a name for people')

export const budgetsCommand: DefineCommand = (budgets, finish) => {
  describeOperator(
    budgets,
    'Limits what jobs may cost in a day, week or month: of a tenant, a key, a preset or a user. All amounts are whole micro-credits; one credit is 1000000 micro-credits.',
    '0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the budget, tenant or key does not exist).',
  )
  const action = (name: keyof typeof ACTIONS, summary: string, takesId: boolean): Command => {
    const command = addAction(budgets, name, summary)
    if (takesId) command.argument('<id>', 'bdg_…')
    return command.option('--json', 'print each record as a line of JSON').action(async (...all: unknown[]) => {
      finish(
        await runOperatorCommand(async (tools) => {
          const run: BudgetAction = ACTIONS[name]
          await run(tools, command.opts<Given>(), takesId ? String(all[0]) : '')
          return EXIT.ok
        }),
      )
    })
  }
  action('list', 'lists budgets with what they count in the current period', false).option(
    '--tenant <id>',
    'only budgets of this tenant',
  )
  action('show', 'shows a budget; with --json also its users', true)
  withLimits(
    action('create', 'creates a budget; it counts jobs that are accepted from now on', false)
      .option('--tenant <id>', 'the tenant; required, except with --preset, which then counts all tenants together')
      .option('--key <id>', 'only jobs of this key')
      .option('--preset <name>', 'only jobs of this preset')
      .option('--user <user>', 'only jobs of this user; each: every user has the limit for itself')
      .option('--period <day|week|month>', 'the period; required')
      .option('--time-zone <name>', 'the time zone of the calendar, such as Europe/Berlin (default: UTC)')
      .option('--limit <n>', 'the limit for each period, in micro-credits; required')
      .option(
        '--idempotency-key <text>',
        'a repeated command with the same value makes no second budget (default: random)',
      ),
  )
  withLimits(
    action('change', 'changes a budget; the limit applies at once', true).option(
      '--limit <n>',
      'the limit for each period, in micro-credits',
    ),
  )
  action('remove', 'removes a budget', true)
}
