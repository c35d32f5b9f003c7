import { worst, type CheckResult, type CheckState } from '../shared/doctor/rules/check.ts'
import { describeOperator, type DefineCommand } from './command.ts'
import { connect, type ConnectionOptions } from './connection.ts'
import { predictionCheck, type PredictionOptions } from './doctor-prediction.ts'
import { EXIT } from './failures.ts'
import { collect } from './option-values.ts'
import { withDoctor } from './run-operator-command.ts'
import { note, printJson, printLine } from './terminal.ts'

interface Given extends ConnectionOptions, PredictionOptions {
  prediction?: boolean
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

async function examine({ json = false, prediction = false, ...options }: Given): Promise<number> {
  // Before the checks: a missing key ends the command at once.
  const client = prediction ? await connect(options) : null
  const checks = await withDoctor((doctor) => doctor.run())
  if (client) checks.push(await predictionCheck(client, options, checks))
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
    'Checks Redis, the clocks, the workers, the token and the credit at Replicate, the presets, the storage, and the way of webhooks: a worker sends signed probes to PUBLIC_URL, as Replicate would, and the api answers what arrived. Changes no job, and costs nothing without --prediction. Without a running worker this command sends the probes itself.',
    '0 everything is right, 1 something fails, 2 the configuration is invalid, 6 nothing fails, but there are warnings.',
  )
    .option(
      '--prediction',
      'also make a real prediction over the API, wait for its webhook, and delete the job. Says first what it costs',
    )
    .option('--preset <name>', 'with --prediction: use this preset instead of replicate/hello-world')
    .option('--input <field=value>', 'with --prediction: a field of the input; repeatable', collect)
    .option('--url <url>', 'with --prediction: origin of the service, as in other commands')
    .option('--key <key>', 'with --prediction: API key (prefer GENQUEUE_API_KEY)')
    .option('--json', 'print one JSON document')
    .action(async (given: Given) => finish(await examine(given)))
}
