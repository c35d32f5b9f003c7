import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agentConfigurations } from '../support/guide-programs.ts'
import { installRecipe } from '../support/install-recipe.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** MCP Inspector against the tools of agents, with the configurations of the guide. */

const CLI = join(import.meta.dirname, '../../src/cli/main.ts')

let service: TestService
let inspector: string
let config: string
beforeAll(async () => {
  const home = await installRecipe(
    join(import.meta.dirname, 'inspector'),
    'inspector',
    'installing MCP Inspector into the cache folder, once (120 MB)',
  )
  inspector = join(home, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js')
  service = await startService({ simulator: { speed: 50 } })
  const [onStdio, byHttp] = agentConfigurations()
  const servers = {
    stdio: {
      ...onStdio,
      command: process.execPath,
      args: [CLI, ...(onStdio.args?.slice(1) ?? [])],
      env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY },
    },
    http: {
      ...byHttp,
      url: new URL(new URL(byHttp.url ?? '').pathname, service.url).href,
      headers: { Authorization: `Bearer ${TEST_KEY}` },
    },
  }
  config = join(tempDir(), 'mcp.json')
  writeFileSync(config, JSON.stringify({ mcpServers: servers }))
})
afterAll(() => service.stop())

describe.each(['stdio', 'http'])('over %s', (server) => {
  async function inspect<T>(...args: string[]): Promise<T> {
    const cwd = tempDir()
    const ran = spawnNode(inspector, ['--cli', '--config', config, '--server', server, ...args], {
      cwd,
      env: { HOME: cwd, MCP_INSPECTOR_SECRET_STORE: 'memory' },
    })
    const { code } = await ran.exited
    const said = ran.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('[mcp-inspector]'))
    expect([code, said]).toEqual([0, []])
    return JSON.parse(ran.stdout) as T
  }
  const call = (name: string, ...args: string[]): Promise<{ content: { type: string }[]; structuredContent: object }> =>
    inspect('--method', 'tools/call', '--tool-name', name, ...args.flatMap((one) => ['--tool-arg', one]))

  test('every tool has a schema that every client can use', async () => {
    // Problems of schemas would be printed.
    const { tools } = await inspect<{ tools: object[] }>('--method', 'tools/list', '--strict')
    expect(tools).toHaveLength(7)
  })

  test('a job is submitted, awaited and shown', async () => {
    const made = await call('submit', 'preset=story-page', 'input={"prompt":"a fox"}', 'label=inspected')
    const { id } = made.structuredContent as { id: string }
    expect((await call('wait', `id=${id}`)).structuredContent).toMatchObject({ id, status: 'succeeded' })
    expect((await call('artifact', `id=${id}`)).content.map(({ type }) => type)).toEqual([
      'text',
      'image',
      'resource_link',
    ])
  })
})
