import type { OperatorTools } from '../compose/operators.ts'
import {
  accountChangeSchema,
  costQuerySchema,
  entryRequestSchema,
  ledgerQuerySchema,
  MAX_SPENDING_DAYS,
  spendingDays,
  spendingQuerySchema,
} from '../shared/credits/rules/credit-requests.ts'
import { costView } from '../shared/credits/rules/costs.ts'
import { accountView, entryView, spendingCsv, spendingView } from '../shared/credits/rules/credit-view.ts'
import type { LedgerEntry, OperatorKind } from '../shared/credits/rules/ledger.ts'
import type { Command } from 'commander'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { once } from './once.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { readRequest } from './read-options.ts'
import { note, printText } from './terminal.ts'

interface Given {
  amount?: string
  reason?: string
  idempotencyKey?: string
  kind?: string
  job?: string
  limit?: string
  cursor?: string
  from?: string
  to?: string
  by?: string
  csv?: boolean
  lowBalance?: string
  json?: boolean
}

type CreditTools = Pick<OperatorTools, 'credits'>
type CreditAction = (tools: CreditTools, tenant: string, given: Given) => Promise<void>

function printEntries(entries: readonly LedgerEntry[], json: boolean): void {
  printRecords(entries.map(entryView), {
    json,
    columns: {
      id: ({ id }) => id,
      at: ({ created_at }) => created_at,
      kind: ({ kind }) => kind,
      amount: ({ amount }) => amount,
      balance: ({ balance }) => balance,
      held: ({ held }) => held,
      captured: ({ captured }) => captured,
      'job or reason': ({ job, reason }) => job ?? reason,
    },
  })
}

const WRONG_RANGE = `--to: expected a day on or after --from, at most ${MAX_SPENDING_DAYS} days in all`

/** Parses micro-credits. */
function readAmount(text: string): number {
  if (!/^-?\d{1,16}$/.test(text)) throw new Error('--amount: expected whole micro-credits, such as --amount=25000000')
  return Number(text)
}

const enter =
  (kind: OperatorKind): CreditAction =>
  async ({ credits }, tenant, { amount, reason, idempotencyKey, json = false }) => {
    if (amount === undefined || reason === undefined) throw new Error('--amount and --reason are required')
    const asked = readRequest(entryRequestSchema, { kind, amount: readAmount(amount), reason })
    const { entry, repeated } = await once(idempotencyKey, (key) => credits.admin.enter(tenant, asked, key))
    if (repeated) note('This entry already existed.')
    printEntries([entry], json)
  }

/** Commands for a tenant's credits. */
const ACTIONS = {
  async show({ credits }, tenant, { json = false }) {
    printRecords([accountView(tenant, await credits.store.account(tenant))], {
      json,
      columns: {
        tenant: (account) => account.tenant,
        granted: ({ granted }) => granted,
        balance: ({ balance }) => balance,
        held: ({ held }) => held,
        captured: ({ captured }) => captured,
        'low balance': ({ low_balance }) => low_balance,
        unlimited: ({ unlimited }) => unlimited,
      },
    })
  },

  async warn(tools, tenant, { lowBalance, ...given }) {
    if (lowBalance === undefined) throw new Error('--low-balance is missing')
    if (lowBalance !== 'none' && !/^\d{1,16}$/.test(lowBalance))
      throw new Error('--low-balance: expected whole micro-credits, such as 5000000, or none')
    const asked = { low_balance: lowBalance === 'none' ? null : Number(lowBalance) }
    const { low_balance } = readRequest(accountChangeSchema, asked)
    await tools.credits.store.setLowBalance(tenant, low_balance)
    await ACTIONS.show(tools, tenant, given)
  },

  grant: enter('grant'),
  adjust: enter('adjustment'),

  async ledger({ credits }, tenant, { limit, cursor, kind, job, json = false }) {
    const { cursor: before, ...query } = readRequest(ledgerQuerySchema, { limit, cursor, kind, job })
    const { entries, next } = await credits.store.ledger(tenant, { ...query, before })
    printEntries(entries, json)
    if (next !== null) note(`More entries: --cursor ${next}`)
  },

  async spending({ credits }, tenant, { from, to, by, csv = false, json = false }) {
    const { by: group, ...range } = readRequest(spendingQuerySchema, { from, to, by })
    const asked = spendingDays(range, await credits.store.now())
    if (asked === null) throw new Error(WRONG_RANGE)
    const rows = await credits.store.spending(tenant, asked.days, group === 'day' ? 'preset' : group)
    if (csv) return printText(spendingCsv(group, rows))
    const view = spendingView(asked.from, asked.to, group, rows)
    printRecords([...view.data, ...(json ? [] : [view.total])], {
      json,
      columns: {
        [group]: (row) => Object.values(row).find((value) => typeof value === 'string') ?? 'total',
        jobs: ({ jobs }) => jobs,
        estimated: ({ estimated }) => estimated,
        captured: ({ captured }) => captured,
        uncollected: ({ uncollected }) => uncollected,
      },
    })
  },
} satisfies Record<string, CreditAction>

const withEntry = (command: Command): Command =>
  command
    .option('--amount <n>', 'the amount in micro-credits, a whole number, such as --amount=25000000; required')
    .option('--reason <text>', 'the reason; required')
    .option(
      '--idempotency-key <text>',
      'a repeated command with the same value, amount and reason makes no second entry (default: random; the error contains it when Redis does not respond)',
    )

async function printCosts({ credits }: CreditTools, { from, to, json = false }: Given): Promise<void> {
  const asked = spendingDays(readRequest(costQuerySchema, { from, to }), await credits.store.now())
  if (asked === null) throw new Error(WRONG_RANGE)
  const { data } = costView(asked.from, asked.to, await credits.store.costs(asked.days))
  printRecords(data, {
    json,
    columns: {
      day: ({ day }) => day,
      model: ({ model }) => model,
      runs: ({ jobs }) => jobs,
      held: ({ estimated }) => estimated,
      captured: ({ captured }) => captured,
      'micro-dollars': ({ upstream }) => upstream,
      ratio: ({ captured_ratio }) => captured_ratio,
      'price of': ({ price_as_of }) => price_as_of,
    },
  })
}

export const creditsCommand: DefineCommand = (credits, finish) => {
  describeOperator(
    credits,
    'Grants credits, and shows accounts, ledgers and spending. All amounts are whole micro-credits; one credit is 1000000 micro-credits.',
    '0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant does not exist, or its balance is too low).',
  )
  const action = (name: keyof typeof ACTIONS, summary: string): Command =>
    addAction(credits, name, summary)
      .argument('<tenant>')
      .option('--json', 'print each record as a line of JSON')
      .action(async (tenant: string, given: Given) => {
        finish(
          await runOperatorCommand(async (tools) => {
            await ACTIONS[name](tools, (await tools.tenants.tenant(tenant)).id, given)
            return EXIT.ok
          }),
        )
      })
  action('show', 'shows the account of a tenant')
  withEntry(
    action('grant', 'adds credits; the first grant makes the tenant limited: from then on its jobs need credits'),
  )
  withEntry(
    action('adjust', 'adds or subtracts credits, without making the tenant limited; the balance never falls below 0'),
  )
  action('warn', 'sets the balance below which the tenant is notified by credits.low').option(
    '--low-balance <n|none>',
    'in micro-credits, such as 5000000; none: never',
  )
  action('ledger', 'lists all movements, newest first')
    .option('--kind <kind>', 'only opening, grant, adjustment, hold, capture or release')
    .option('--job <id>', 'only entries of this job')
    .option('--limit <n>', 'the largest number of entries (default: 20)')
    .option('--cursor <id>', 'continues a list that was cut off')
  action('spending', 'shows captured credits by day, preset, model, user or key')
    .option('--from <day>', 'first day, such as 2026-01-31 (UTC; default: the last 30 days)')
    .option('--to <day>', 'last day')
    .option('--by <group>', 'day, preset, model, user or key (default: day)')
    .option('--csv', 'print a line of CSV for each day and group')
  const costs = addAction(
    credits,
    'costs',
    'compares what runs cost at Replicate with what was charged, by model and day',
  )
  costs
    .option('--from <day>', 'first day, such as 2026-01-31 (UTC; default: the last 30 days)')
    .option('--to <day>', 'last day')
    .option('--json', 'print each record as a line of JSON')
    .action(async () => {
      finish(
        await runOperatorCommand(async (tools) => {
          await printCosts(tools, costs.opts<Given>())
          return EXIT.ok
        }),
      )
    })
}
