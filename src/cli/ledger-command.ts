import type { LedgerVerdict } from '../shared/credits/verify-ledger.ts'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

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

interface Given {
  tenant?: string
  json?: boolean
}

export const ledgerCommand: DefineCommand = (ledger, finish) => {
  describeOperator(
    ledger,
    'Replays ledgers and reports mismatches.',
    '0 no problem, 1 problems, 2 or 3 the ledgers could not be read.',
  )
  addAction(ledger, 'verify', 'replays the ledgers of all tenants and reports mismatches')
    .description(
      'Replays the ledgers of all tenants from their first entry and reports mismatches: each entry must follow from the entry before it, and the account from the last one; each hold must be captured or released once; held and captured amounts must equal those of the jobs. Changes nothing. It can run while the service runs, or without it.',
    )
    .option('--tenant <id>', 'verify only this tenant')
    .option('--json', 'print a line of JSON for each tenant')
    .action(async ({ tenant, json = false }: Given) => {
      finish(
        await runOperatorCommand(async ({ tenants, verifyLedgers }) => {
          const only = tenant === undefined ? null : (await tenants.tenant(tenant)).id
          let found = 0
          for await (const verdict of verifyLedgers(only)) {
            print(verdict, json)
            found += verdict.found
          }
          return found === 0 ? EXIT.ok : EXIT.failed
        }),
      )
    })
}
