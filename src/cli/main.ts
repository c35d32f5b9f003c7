#!/usr/bin/env node
import { auditCommand } from './audit-command.ts'
import type { Command } from './command.ts'
import { keysCommand } from './keys-command.ts'
import { tenantsCommand } from './tenants-command.ts'

/** `genqueue <command>`: what an operator does beside the service. */

const COMMANDS: Record<string, Command> = { audit: auditCommand, keys: keysCommand, tenants: tenantsCommand }

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`)
  return `Usage: genqueue <command> [options]\n\n${lines.join('\n')}\n\ngenqueue <command> --help tells the options.\n`
}

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(usage())
    return name === undefined ? 2 : 0
  }
  const command = COMMANDS[name]
  if (command === undefined) {
    process.stderr.write(`genqueue: there is no command ${JSON.stringify(name)}\n\n${usage()}`)
    return 2
  }
  if (args.includes('--help')) {
    process.stdout.write(command.help)
    return 0
  }
  return command.run(args)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`genqueue: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
