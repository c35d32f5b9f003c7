import { describeOperator, type DefineCommand } from './command.ts'
import { EXIT, RefusedError } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printJson, printLine } from './terminal.ts'

interface Given {
  force?: boolean
  json?: boolean
}

const rotate = ({ force = false, json }: Given): Promise<number> =>
  runOperatorCommand(async ({ rotateTokenKey }) => {
    const { left } = await rotateTokenKey({ force })
    if (left > 0)
      throw new RefusedError(
        'rotated_before',
        `The last rotation is less than two hours ago, and predictions may still carry tokens of the key before it. Wait ${Math.ceil(left / 60_000)} min, or use --force, which can lead to a second prediction for a create with an unknown outcome.`,
      )
    if (json) printJson({ rotated: true })
    else printLine('The key was rotated. The previous key stays valid until the next rotation.')
    return EXIT.ok
  })

export const rotateTokenKeyCommand: DefineCommand = (command, finish) => {
  describeOperator(
    command,
    'Creates a new signing key for the deployment: it signs the tokens in webhook URLs, job tokens, sessions and artifact links. The previous key stays valid, so nothing in flight breaks; running processes learn both within seconds, without a restart. The key before the previous one becomes invalid, so a second rotation is refused for two hours: open predictions may still carry its tokens.',
    '0 rotated, 2 or 3 not attempted, 4 refused.',
  )
    .option(
      '--force',
      "rotate anyway. Webhooks of such predictions are refused, and they finish by polling; a create request whose outcome is unknown is not found in Replicate's list any more, and may be sent, and paid for, a second time",
    )
    .option('--json', 'print one line of JSON')
    .action(async (given: Given) => finish(await rotate(given)))
}
