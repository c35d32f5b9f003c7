import { parseArgs } from 'node:util'
import type { OperatorTools } from '../compose/operators.ts'
import {
  entryRequestSchema,
  ledgerQuerySchema,
  MAX_SPENDING_DAYS,
  spendingDays,
  spendingQuerySchema,
} from '../shared/credits/rules/credit-requests.ts'
import { accountView, entryView, spendingView } from '../shared/credits/rules/credit-view.ts'
import type { LedgerEntry, OperatorKind } from '../shared/credits/rules/ledger.ts'
import type { Command } from './command.ts'
import { once } from './once.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { readRequest } from './read-options.ts'
import { note } from './terminal.ts'

const HELP = `Usage: genqueue credits <action> <tenant> [options]

  show <tenant>        shows the account of a tenant
  grant <tenant>       adds credits; the first grant makes the tenant limited: from then on its jobs need credits
  adjust <tenant>      adds or subtracts credits, without making the tenant limited; the balance never falls below 0
  ledger <tenant>      lists all movements, newest first
  spending <tenant>    shows captured credits by day or by preset (default: the last 30 days)

All amounts are whole micro-credits; one credit is 1000000 micro-credits.

  --amount=<n>               grant, adjust: the amount; only adjust accepts a negative one
  --reason <text>            grant, adjust: the reason, required
  --idempotency-key <text>   grant, adjust: a repeated command with the same value, amount and reason makes no second entry
                             (default: random; the error contains it when Redis does not respond)
  --kind <kind>              ledger: only opening, grant, adjustment, hold, capture or release
  --job <id>                 ledger: only entries of this job
  --limit <n>                ledger: the largest number of entries (default: 20)
  --cursor <id>              ledger: continues a list that was cut off
  --from <day> --to <day>    spending: the first and last day, such as 2026-01-31 (UTC)
  --by <day|preset>          spending: groups by day or by preset (default: day)
  --json                     prints each record as a line of JSON

Works directly on Redis; the service need not be running.

Exit codes: 0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant does not exist, or its balance is too
low).
`

const options = {
  amount: { type: 'string' },
  reason: { type: 'string' },
  'idempotency-key': { type: 'string' },
  kind: { type: 'string' },
  job: { type: 'string' },
  limit: { type: 'string' },
  cursor: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  by: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

type Values = ReturnType<typeof readArgs>['values']
const readArgs = (args: string[]) => parseArgs({ args, allowPositionals: true, strict: true, options })

type CreditTools = Pick<OperatorTools, 'credits'>
type CreditAction = (tools: CreditTools, tenant: string, values: Values) => Promise<void>

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

/** Parses micro-credits. */
function readAmount(text: string): number {
  if (!/^-?\d{1,16}$/.test(text)) throw new Error('--amount: expected whole micro-credits, such as --amount=25000000')
  return Number(text)
}

const enter =
  (kind: OperatorKind): CreditAction =>
  async ({ credits }, tenant, values) => {
    const { amount, reason } = values
    if (amount === undefined || reason === undefined) throw new Error('--amount and --reason are required')
    const asked = readRequest(entryRequestSchema, { kind, amount: readAmount(amount), reason })
    const { entry, repeated } = await once(values['idempotency-key'], (key) => credits.admin.enter(tenant, asked, key))
    if (repeated) note('This entry already existed.')
    printEntries([entry], values.json)
  }

/** Commands for a tenant's credits. */
const ACTIONS: Record<string, CreditAction> = {
  async show({ credits }, tenant, { json }) {
    printRecords([accountView(tenant, await credits.store.account(tenant))], {
      json,
      columns: {
        tenant: (account) => account.tenant,
        granted: ({ granted }) => granted,
        balance: ({ balance }) => balance,
        held: ({ held }) => held,
        captured: ({ captured }) => captured,
        unlimited: ({ unlimited }) => unlimited,
      },
    })
  },

  grant: enter('grant'),
  adjust: enter('adjustment'),

  async ledger({ credits }, tenant, { limit, cursor, kind, job, json }) {
    const { cursor: before, ...query } = readRequest(ledgerQuerySchema, { limit, cursor, kind, job })
    const { entries, next } = await credits.store.ledger(tenant, { ...query, before })
    printEntries(entries, json)
    if (next !== null) note(`More entries: --cursor ${next}`)
  },

  async spending({ credits }, tenant, { from, to, by, json }) {
    const { by: group, ...range } = readRequest(spendingQuerySchema, { from, to, by })
    const asked = spendingDays(range, await credits.store.now())
    if (asked === null)
      throw new Error(`--to: expected a day on or after --from, at most ${MAX_SPENDING_DAYS} days in all`)
    const view = spendingView(asked.from, asked.to, group, await credits.store.spending(tenant, asked.days))
    printRecords([...view.data, ...(json ? [] : [view.total])], {
      json,
      columns: {
        [group]: (row) => ('day' in row ? row.day : 'preset' in row ? row.preset : 'total'),
        jobs: ({ jobs }) => jobs,
        estimated: ({ estimated }) => estimated,
        captured: ({ captured }) => captured,
        uncollected: ({ uncollected }) => uncollected,
      },
    })
  },
}

export const creditsCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = readArgs(args)
    const [name = '', tenant, ...rest] = positionals
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined
    if (action === undefined || tenant === undefined || rest.length > 0) throw new Error(HELP)
    return runOperatorCommand(async ({ credits, tenants }) => {
      await action({ credits }, (await tenants.tenant(tenant)).id, values)
      return 0
    })
  },
}
