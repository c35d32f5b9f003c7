import { parseArgs } from 'node:util'
import type { Command } from './command.ts'
import { EXIT, RefusedError } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue rotate-token-key [options]

Creates a new signing key for the deployment: it signs the tokens in webhook URLs, job tokens, sessions and artifact links.
The previous key stays valid, so nothing in flight breaks; running processes learn both within seconds, without a
restart. The key before the previous one becomes invalid, so a second rotation is refused for two hours: open
predictions may still carry its tokens.

  --force   rotates anyway. Webhooks of such predictions are refused, and they finish by polling; a create request whose
            outcome is unknown is not found in Replicate's list any more, and may be sent, and paid for, a second time
  --json    one line of JSON

Exit codes: 0 rotated, 2 or 3 not attempted, 4 refused.
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
        `The last rotation is less than two hours ago, and predictions may still carry tokens of the key before it. Wait ${Math.ceil(left / 60_000)} min, or use --force, which can lead to a second prediction for a create with an unknown outcome.`,
      )
    })
  },
}
