import { parseArgs } from 'node:util'
import type { OperatorTools } from '../compose/operators.ts'
import {
  entryRequestSchema,
  ledgerQuerySchema,
  MAX_SPENDING_DAYS,
  spendingDays,
  spendingQuerySchema,
} from '../shared/credits/credit-requests.ts'
import { accountView, entryView, spendingView } from '../shared/credits/credit-view.ts'
import type { LedgerEntry, OperatorKind } from '../shared/credits/ledger.ts'
import type { Command } from './command.ts'
import { once } from './once.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { readRequest } from './read-options.ts'
import { note } from './terminal.ts'

const HELP = `Usage: genqueue credits <action> <tenant> [options]

  show <tenant>        its account
  grant <tenant>       gives it credits; its first grant makes it limited: its jobs must be paid for from then on
  adjust <tenant>      adds or takes, without making it limited; never takes the balance below 0
  ledger <tenant>      every movement, newest first
  spending <tenant>    what was captured, by day or by preset; the last 30 days

All amounts are whole micro-credits: a credit has 1000000.

  --amount=<n>               of grant and adjust; below 0 only of adjust
  --reason <text>            of grant and adjust
  --idempotency-key <text>   the same one with the same amount and reason is entered once, however often it is sent; a
                             random one by default, which the error names when Redis did not answer
  --kind <kind>              of ledger: opening, grant, adjustment, hold, capture or release
  --job <id>                 of ledger
  --limit <n>                of ledger: so many entries at most; 20
  --cursor <id>              of ledger: from there on
  --from <day> --to <day>    of spending, such as 2026-01-31 (UTC)
  --by <day|preset>          of spending; day
  --json                     prints each record as a line of JSON

Works on Redis, whether the service runs or not.

Exit codes: 0 done, 2 the command is wrong, 3 Redis cannot be reached, 4 it cannot be done (there is no such tenant, or it has too little).
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
    if (amount === undefined || reason === undefined) throw new Error('--amount and --reason are needed')
    const asked = readRequest(entryRequestSchema, { kind, amount: readAmount(amount), reason })
    const { entry, repeated } = await once(values['idempotency-key'], (key) => credits.admin.enter(tenant, asked, key))
    if (repeated) note('It had been entered before.')
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
    if (next !== null) note(`There is more: --cursor ${next}`)
  },

  async spending({ credits }, tenant, { from, to, by, json }) {
    const { by: group, ...range } = readRequest(spendingQuerySchema, { from, to, by })
    const asked = spendingDays(range, await credits.store.now())
    if (asked === null) throw new Error(`--to: not before --from, and at most ${MAX_SPENDING_DAYS} days`)
    const view = spendingView(asked.from, asked.to, group, await credits.store.spending(tenant, asked.days))
    printRecords([...view.data, ...(json ? [] : [view.total])], {
      json,
      columns: {
        [group]: (row) => ('day' in row ? row.day : 'preset' in row ? row.preset : 'together'),
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
