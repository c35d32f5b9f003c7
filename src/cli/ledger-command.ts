import { parseArgs } from 'node:util'
import type { LedgerVerdict } from '../shared/credits/verify-ledger.ts'
import type { Command } from './command.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue ledger verify [options]

Replays the ledgers of all tenants from their first entry and reports mismatches: each entry must follow from the entry
before it, and the account from the last one; each hold must be captured or released once; held and captured amounts must
equal those of the jobs. Changes nothing. It can run while the service runs, or without it.

  --tenant <id>   verifies only this tenant
  --json          prints a line of JSON for each tenant

Exit codes: 0 no problem, 1 problems, 2 or 3 the ledgers could not be read.
`

function print(verdict: LedgerVerdict, json: boolean): void {
  const { tenant, entries, openHolds, found, problems } = verdict
  if (json) {
    printJson({ tenant, entries, open_holds: openHolds, found, problems })
    return
  }
  for (const { rule, id, detail } of problems) printLine(`${tenant}  ${rule}  ${id}  ${detail}`)
  const result = found === 0 ? 'no problems' : `${found} ${found === 1 ? 'problem' : 'problems'}`
  printLine(`${tenant}: ${entries} entries, ${openHolds} open holds: ${result}.`)
}

export const ledgerCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      strict: true,
      options: { tenant: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    if (positionals.join(' ') !== 'verify') throw new Error(HELP)
    return runOperatorCommand(async ({ tenants, verifyLedgers }) => {
      const only = values.tenant === undefined ? null : (await tenants.tenant(values.tenant)).id
      let found = 0
      for await (const verdict of verifyLedgers(only)) {
        print(verdict, values.json)
        found += verdict.found
      }
      return found === 0 ? 0 : 1
    })
  },
}
