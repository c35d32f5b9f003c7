import { readFileSync } from 'node:fs'

const textOf = (guide: string): string =>
  readFileSync(new URL(`../../docs/guides/${guide}.md`, import.meta.url), 'utf8')

/** The programs of a guide by their file names: blocks that name the same file make one. */
export function programsOf(guide: string): Map<string, string> {
  const programs = new Map<string, string>()
  for (const [, file = '', block = ''] of textOf(guide).matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms))
    programs.set(file, (programs.get(file) ?? '') + block)
  return programs
}

/** A server of MCP in the configuration of a client. */
interface AgentServer {
  command?: string
  args?: string[]
  env?: Record<string, string>
  url?: string
  headers?: Record<string, string>
}

/** The configurations of docs/guides/agents.md: on stdio, and by HTTP. */
export function agentConfigurations(): [onStdio: AgentServer, byHttp: AgentServer] {
  const blocks = [...textOf('agents').matchAll(/^```json\n(.*?)^```$/gms)].map(([, block = '']) => block)
  const [onStdio, byHttp] = blocks.map(
    (block) => (JSON.parse(block) as { mcpServers: { genqueue: AgentServer } }).mcpServers.genqueue,
  )
  if (!onStdio || !byHttp) throw new Error('docs/guides/agents.md has not both configurations')
  return [onStdio, byHttp]
}
