import { parseArgs } from 'node:util'
import type { Command } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue rotate-link-key [options]

Revokes every lasting link to a stored file (GET /v1/jobs/:id?links=lasting): it returns 403 from then on. New links can be
requested at once, for files whose job still has its record. Hourly links, tokens and sessions stay valid.

The rotation takes 13 seconds: every process receives the new key first, so that no link created meanwhile is revoked
with the old ones. If it is interrupted, run it again.

  --now     rotates at once, after a leak; a lasting link created within the next seconds may be invalid
  --json    one line of JSON

Exit codes: 0 rotated, 2 or 3 not attempted.
`

export const rotateLinkKeyCommand: Command = {
  help: HELP,
  async run(args) {
    const flag = { type: 'boolean', default: false } as const
    const { values } = parseArgs({ args, strict: true, options: { now: flag, json: flag } })
    const { now, json } = values
    return runOperatorCommand(async ({ rotateLinkKey }) => {
      await rotateLinkKey({ now })
      const done = 'The key of lasting links was rotated. All earlier lasting links are revoked.'
      if (json) printJson({ rotated: true })
      else printLine(done)
      return EXIT.ok
    })
  },
}
