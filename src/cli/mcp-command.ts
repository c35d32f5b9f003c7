import type { Command } from 'commander'
import type { Finish } from './command.ts'
import { connect, withService, type ConnectionOptions } from './connection.ts'
import { EXIT } from './failures.ts'
import { note } from './terminal.ts'

/** `mcp`: the tools of genqueue for an agent, on stdin and stdout. */
export function addMcp(program: Command, finish: Finish): void {
  const command = program
    .command('mcp')
    .summary('serves agents by MCP on stdin and stdout')
    .description(
      'Serves one client of the Model Context Protocol on stdin and stdout: an agent lists presets with prices, and submits and follows jobs. Ends when the client closes stdin.',
    )
  withService(command).action(async () => {
    const client = await connect(command.opts<ConnectionOptions>())
    const [{ serveMcpStdio }, { VERSION }] = await Promise.all([
      import('../mcp/serve-stdio.ts'),
      import('../shared/process/version.ts'),
    ])
    await serveMcpStdio({ client, version: VERSION, onError: (error) => note(`genqueue mcp: ${error.message}`) })
    finish(EXIT.ok)
  })
}
