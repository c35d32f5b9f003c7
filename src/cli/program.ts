import { Command } from 'commander'
import type { DefineCommand, Finish } from './command.ts'
import { addEndpoints } from './endpoints-command.ts'
import { addUpload } from './file-commands.ts'
import { addHealth } from './health-command.ts'
import { addList } from './list-command.ts'
import { addListen } from './listen-command.ts'
import { addMcp } from './mcp-command.ts'
import { addNotifications } from './notifications-command.ts'
import { addReadCommands } from './read-commands.ts'
import { addBatch, addSubmit } from './submit-commands.ts'
import { noteText, printText } from './terminal.ts'

/**
 * Operator commands, which work on Redis whether the service runs or not. Their modules import the service's code, so they
 * are loaded on demand.
 */
const OPERATOR: Record<string, { summary: string; load: () => Promise<DefineCommand> }> = {
  tenants: {
    summary: 'creates, changes, suspends and shows tenants',
    load: async () => (await import('./tenants-command.ts')).tenantsCommand,
  },
  keys: {
    summary: 'creates, rotates, revokes and shows API keys',
    load: async () => (await import('./keys-command.ts')).keysCommand,
  },
  budgets: {
    summary: 'limits what jobs may cost in a day, week or month',
    load: async () => (await import('./budgets-command.ts')).budgetsCommand,
  },
  credits: {
    summary: 'grants credits, and shows accounts, ledgers and spending',
    load: async () => (await import('./credits-command.ts')).creditsCommand,
  },
  limits: {
    summary: 'shows and sets limits of accounts, models, deployments, presets and tenants',
    load: async () => (await import('./limits-command.ts')).limitsCommand,
  },
  pause: {
    summary: 'pauses creation by hand, or shows what is paused',
    load: async () => (await import('./limits-command.ts')).pauseCommand,
  },
  resume: {
    summary: 'ends a pause by hand',
    load: async () => (await import('./limits-command.ts')).resumeCommand,
  },
  ledger: {
    summary: 'replays every ledger and reports mismatches',
    load: async () => (await import('./ledger-command.ts')).ledgerCommand,
  },
  login: {
    summary: 'prints a link that signs a browser in',
    load: async () => (await import('./login-command.ts')).loginCommand,
  },
  'rotate-token-key': {
    summary: 'rotates the signing key of the deployment',
    load: async () => (await import('./rotate-token-key-command.ts')).rotateTokenKeyCommand,
  },
  'rotate-link-key': {
    summary: 'revokes all lasting links to stored files',
    load: async () => (await import('./rotate-link-key-command.ts')).rotateLinkKeyCommand,
  },
  doctor: {
    summary: 'checks the set-up, and sends a probe by the way that webhooks take',
    load: async () => (await import('./doctor-command.ts')).doctorCommand,
  },
  audit: {
    summary: 'checks invariants in Redis, in the files and at Replicate',
    load: async () => (await import('./audit-command.ts')).auditCommand,
  },
}

function addStart(program: Command): void {
  program
    .command('start')
    .summary('starts the service')
    .argument('[args...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: string[]) => {
      const { runProcess } = await import('../start.ts')
      await runProcess({ command: 'genqueue start', args })
    })
}

function addOperatorCommands(program: Command, finish: Finish): void {
  program.commandsGroup('On Redis, for operators:')
  for (const [name, { summary, load }] of Object.entries(OPERATOR))
    program
      .command(name)
      .summary(summary)
      .argument('[args...]')
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (args: string[]) => {
        const define = await load()
        const command = program.createCommand(`genqueue ${name}`).copyInheritedSettings(program).helpCommand(false)
        define(command, finish)
        await command.parseAsync(args, { from: 'user' })
      })
}

/** Runs one command line and returns the exit code. Throws errors that `failureOf` understands. */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exit = 0
  const finish: Finish = (code) => {
    exit = code
  }
  const inJson = args.includes('--json')
  const program = new Command('genqueue')
    .description('A durable job queue between your product and Replicate.')
    .enablePositionalOptions()
    .showHelpAfterError(
      inJson ? false : 'genqueue --help lists the commands, genqueue <command> --help the options of one.',
    )
    .configureHelp({ showGlobalOptions: false })
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: printText,
      writeErr: noteText,
      // With --json the error is printed by the caller, as one line.
      outputError: (text, write) => {
        if (!inJson) write(text)
      },
    })
    .addHelpText('after', '\nExit codes and examples: docs/cli.md')
  program.commandsGroup('The service:')
  addStart(program)
  program.commandsGroup('Over the API:')
  addSubmit(program, finish)
  addBatch(program, finish)
  addReadCommands(program, finish)
  addList(program, finish)
  addUpload(program, finish)
  addEndpoints(program, finish)
  addNotifications(program, finish)
  addListen(program, finish)
  addHealth(program, finish)
  addMcp(program, finish)
  addOperatorCommands(program, finish)
  await program.parseAsync(args, { from: 'user' })
  return exit
}
