import { parseArgs } from 'node:util'
import type { Command } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue rotate-link-key [options]

Ends every lasting link to a stored file (GET /v1/jobs/:id?links=lasting): it answers 403 from then on. New ones can be
asked for at once, for files whose job still has its record. Hourly links, tokens and sessions go on.

It takes 13 seconds: the new key is given to every process first, so that no link that is made meanwhile ends with the
old ones. Run it again when it was interrupted.

  --now     at once, after a leak; a lasting link that is made within the next seconds may be dead
  --json    one line of JSON

Exit codes: 0 rotated, 2 or 3 it could not be tried.
`

export const rotateLinkKeyCommand: Command = {
  help: HELP,
  async run(args) {
    const flag = { type: 'boolean', default: false } as const
    const { values } = parseArgs({ args, strict: true, options: { now: flag, json: flag } })
    const { now, json } = values
    return runOperatorCommand(async ({ rotateLinkKey }) => {
      await rotateLinkKey({ now })
      const done = 'The key of lasting links was rotated. All links that were made before have ended.'
      if (json) printJson({ rotated: true })
      else printLine(done)
      return EXIT.ok
    })
  },
}
