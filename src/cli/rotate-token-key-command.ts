import { parseArgs } from 'node:util'
import type { Command } from './command.ts'
import { EXIT, RefusedError } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue rotate-token-key [options]

Gives the deployment a new key for what it signs: the tokens in webhook URLs, job tokens, sessions and artifact links. The
key before it still counts, so nothing breaks that is under way; running processes know both within seconds, without a
restart. The one before that does not count any more, so a second rotation is refused for two hours: predictions that
carry a token of it may still be open.

  --force   rotates nonetheless. Webhooks of such predictions are refused then, and they finish by polling; a create whose
            outcome is unknown is not found in Replicate's list any more, and may be sent, and paid for, again
  --json    one line of JSON

Exit codes: 0 rotated, 2 or 3 it could not be tried, 4 refused.
`

export const rotateTokenKeyCommand: Command = {
  help: HELP,
  async run(args) {
    const flag = { type: 'boolean', default: false } as const
    const { values } = parseArgs({ args, strict: true, options: { force: flag, json: flag } })
    const { force, json } = values
    return runOperatorCommand(async ({ rotateTokenKey }) => {
      const { left } = await rotateTokenKey({ force })
      if (left === 0) {
        const message = 'The key was rotated. The previous key stays valid until the next rotation.'
        if (json) printJson({ rotated: true })
        else printLine(message)
        return EXIT.ok
      }
      throw new RefusedError(
        'rotated_before',
        `the key was rotated a short while ago, and predictions may still carry tokens of the one before. Wait ${Math.ceil(left / 60_000)} min, or use --force.`,
      )
    })
  },
}
