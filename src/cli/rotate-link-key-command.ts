import { describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

interface Given {
  now?: boolean
  json?: boolean
}

const rotate = ({ now = false, json }: Given): Promise<number> =>
  runOperatorCommand(async ({ rotateLinkKey }) => {
    await rotateLinkKey({ now })
    if (json) printJson({ rotated: true })
    else printLine('The key of lasting links was rotated. All earlier lasting links are revoked.')
    return EXIT.ok
  })

export const rotateLinkKeyCommand: DefineCommand = (command, finish) => {
  describeOperator(
    command,
    `Revokes every lasting link to a stored file (GET /v1/jobs/:id?links=lasting): it returns 403 from then on. New links can be requested at once, for files whose job still has its record. Hourly links, tokens and sessions stay valid.

The rotation takes 13 seconds: every process receives the new key first, so that no link created meanwhile is revoked with the old ones. If it is interrupted, run it again.`,
    '0 rotated, 2 or 3 not attempted.',
  )
    .option('--now', 'rotate at once, after a leak; a lasting link created within the next seconds may be invalid')
    .option('--json', 'print one line of JSON')
    .action(async (given: Given) => finish(await rotate(given)))
}
