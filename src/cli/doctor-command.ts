import { worst, type CheckResult, type CheckState } from '../shared/doctor/rules/check.ts'
import { describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { withDoctor } from './run-operator-command.ts'
import { note, printJson, printLine } from './terminal.ts'

interface Given {
  json?: boolean
}

const MARKS: Record<CheckState, string> = { ok: 'ok', warning: 'WARNING', failed: 'FAILED', skipped: 'skipped' }
const INDENT = 10

function printCheck({ name, title, state, seen, todo }: CheckResult): void {
  printLine(`${MARKS[state].padEnd(INDENT - 1)} ${title} (${name}): ${seen}`)
  if (todo !== null) printLine(`${' '.repeat(INDENT)}> ${todo}`)
}

const VERDICTS = {
  ok: { exit: EXIT.ok, words: 'No problem found.' },
  warning: { exit: EXIT.warnings, words: 'Nothing fails, but see the warnings.' },
  failed: { exit: EXIT.failed, words: 'Something fails. docs/troubleshooting.md explains every name.' },
}

async function examine({ json = false }: Given): Promise<number> {
  const checks = await withDoctor((doctor) => doctor.run())
  const state = worst(checks)
  if (json) printJson({ state, at: new Date().toISOString(), checks })
  else {
    for (const check of checks) printCheck(check)
    note(VERDICTS[state].words)
  }
  return VERDICTS[state].exit
}

export const doctorCommand: DefineCommand = (command, finish) => {
  describeOperator(
    command,
    'Checks Redis, the clocks, the workers, the token and the credit at Replicate, the presets, the storage, and the way of webhooks: a worker sends signed probes to PUBLIC_URL, as Replicate would, and the api answers what arrived. Changes no job. Without a running worker this command sends the probes itself.',
    '0 everything is right, 1 something fails, 2 the configuration is invalid, 6 nothing fails, but there are warnings.',
  )
    .option('--json', 'print one JSON document')
    .action(async (given: Given) => finish(await examine(given)))
}
