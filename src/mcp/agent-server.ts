import { McpServer } from '@modelcontextprotocol/server'
import type { Client } from '../client/client.ts'
import { addTools } from './tools.ts'

/** What every agent reads before it calls a tool. */
const INSTRUCTIONS = [
  'genqueue runs models of Replicate as durable jobs. A job costs credits, is never lost, and is never paid for twice.',
  'Call `presets` for what can be run and what it costs. `submit` returns an id at once; the job runs on, whatever happens to you.',
  'Call `wait` with the id, again and again, until the job is final; then `artifact` shows its pictures.',
  'Give each job a `label` that you can find again after an interruption, and an `idempotency_key` where a repeated submission must not cost twice.',
  'Amounts are in credits.',
].join('\n')

/** An MCP server with the tools of genqueue, for one client: one connection, or one request. */
export function createAgentServer(client: Client, version: string): McpServer {
  const server = new McpServer(
    { name: 'genqueue', title: 'genqueue', version },
    // The tools never change while a client is connected.
    { instructions: INSTRUCTIONS, capabilities: { tools: { listChanged: false } } },
  )
  addTools(server, client)
  return server
}
