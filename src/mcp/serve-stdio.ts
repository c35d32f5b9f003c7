import { finished } from 'node:stream/promises'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import type { Client } from '../client/client.ts'
import { createAgentServer } from './agent-server.ts'

export interface StdioOptions {
  client: Client
  version: string
  /** Reports a message that was not accepted. */
  onError: (error: Error) => void
}

/** Serves one client of MCP on stdin and stdout; resolves when it has closed stdin. */
export async function serveMcpStdio({ client, version, onError }: StdioOptions): Promise<void> {
  // Nothing that a client could subscribe to ever changes.
  const connection = serveStdio(() => createAgentServer(client, version), { maxSubscriptions: 0, onerror: onError })
  await finished(process.stdin, { writable: false })
  await connection.close()
}
