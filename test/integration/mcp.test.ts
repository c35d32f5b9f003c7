import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport, type CallToolResult } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Scope } from '../../src/shared/tenants/rules/tenant.ts'
import { agentConfigurations } from '../support/guide-programs.ts'
import { NODE_COMPILE_CACHE } from '../support/compile-cache.ts'
import { inPhase } from '../support/finished.ts'
import { startGenqueue } from '../support/genqueue.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { sessionCookie } from '../support/session-cookie.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** The tools of agents, by the official client: on stdio, and by HTTP in the old and the new revision of the protocol. */

const CLI = join(import.meta.dirname, '../../src/cli/main.ts')
const PAGE = { preset: 'story-page', input: { prompt: 'a fox' } }
const GRANTED = 1_000_000

interface JobAnswer {
  id: string
  status: string
  next?: string
  metadata: unknown
  input?: unknown
  output: unknown
  price: { estimate: number; charged: number | null } | null
  account: { balance: number; held: number; unlimited: boolean } | null
  artifacts: { id: string; url: string; media_type: string }[]
}
interface ErrorAnswer {
  code: string
  message: string
  what_to_do: string
  retryable: boolean
  idempotency_key?: string
  missing?: number
  errors?: { pointer: string }[]
}

let service: TestService
let operator: Operator
beforeAll(async () => {
  service = await startService({ simulator: { speed: 30 } })
  operator = createOperator(service)
})
afterAll(() => service.stop())

/** A key of a new tenant that has credits. */
async function funded(scopes?: Scope[], amount = GRANTED): Promise<string> {
  const tenant = await operator.newTenant()
  await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: { amount, reason: 'test' } })
  return (await operator.newKey(tenant, scopes === undefined ? {} : { scopes })).key
}

interface Agent {
  client: Client
  pid: number | null
}

/** The configurations of clients in the guide: on stdio, and by HTTP. */
const [ON_STDIO, BY_HTTP] = agentConfigurations()

const INFO = { name: 'test', version: '1.0.0' }

async function byHttp(key: string, mode: 'legacy' | 'auto'): Promise<Agent> {
  const { url = '', headers = {} } = BY_HTTP
  const transport = new StreamableHTTPClientTransport(new URL(new URL(url).pathname, service.url), {
    requestInit: {
      headers: Object.entries(headers).map(([name, value]) => [name, value.replace('gq_...', key)] as [string, string]),
    },
  })
  const client = new Client(INFO, { versionNegotiation: { mode } })
  await client.connect(transport)
  onTestFinished(() => client.close())
  return { client, pid: null }
}

async function onStdio(key: string): Promise<Agent> {
  const { command, args = [], env = {} } = ON_STDIO
  // The stand-in for npx, which tests have not.
  expect([command, args[0], Object.keys(env)]).toEqual(['npx', 'genqueue', ['GENQUEUE_URL', 'GENQUEUE_API_KEY']])
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [inject('programs')?.[CLI] ?? CLI, ...args.slice(1)],
    env: { ...env, GENQUEUE_URL: service.url, GENQUEUE_API_KEY: key, NODE_COMPILE_CACHE },
    cwd: tempDir(),
  })
  const client = new Client(INFO)
  await client.connect(transport)
  onTestFinished(() => client.close())
  return { client, pid: transport.pid }
}

const call = async (agent: Agent, name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> =>
  agent.client.callTool({ name, arguments: args })

function textOf({ content }: CallToolResult): string {
  const [first] = content
  if (first?.type !== 'text') throw new Error('the answer has no text')
  return first.text
}

/** A successful answer, which is the same as text and as data. */
async function tool<T = JobAnswer>(agent: Agent, name: string, args?: Record<string, unknown>): Promise<T> {
  const result = await call(agent, name, args)
  expect(result.isError ?? false, textOf(result)).toBe(false)
  expect(JSON.parse(textOf(result))).toEqual(result.structuredContent)
  return result.structuredContent as T
}

async function failure(agent: Agent, name: string, args?: Record<string, unknown>): Promise<ErrorAnswer> {
  const result = await call(agent, name, args)
  expect(result.isError).toBe(true)
  return JSON.parse(textOf(result)) as ErrorAnswer
}

async function ended(agent: Agent, id: string): Promise<JobAnswer> {
  for (;;) {
    const job = await tool(agent, 'wait', { id })
    if (!job.next?.startsWith('Not final')) return job
  }
}

const WAYS: [string, (key: string) => Promise<Agent>][] = [
  ['on stdio', onStdio],
  ['by HTTP, in revision 2025-11-25', (key) => byHttp(key, 'legacy')],
  ['by HTTP, in revision 2026-07-28', (key) => byHttp(key, 'auto')],
]

test.each(WAYS)(
  'an agent %s finds out what there is, runs a job, sees its picture, and knows what it cost',
  async (way, connect) => {
    const agent = await connect(await funded())
    const revision = agent.client.getNegotiatedProtocolVersion()
    expect(revision).toBe(way.includes('2026') ? '2026-07-28' : '2025-11-25')
    expect(agent.client.getServerVersion()).toMatchObject({ name: 'genqueue' })
    expect(agent.client.getInstructions()).toContain('never paid for twice')
    const { tools } = await agent.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['presets', 'submit', 'get', 'wait', 'list', 'cancel', 'artifact'])

    const { presets } = await tool<{ presets: { name: string; price: object }[] }>(agent, 'presets')
    expect(presets.find(({ name }) => name === 'story-page')).toMatchObject({
      price: { per_output: 0.003, estimate: 0.003 },
      fields: expect.arrayContaining(['prompt']) as unknown,
    })
    const { preset } = await tool<{ preset: object }>(agent, 'presets', { name: 'story-page' })
    expect(preset).toMatchObject({ input_schema: { required: ['prompt'] } })

    const made = await tool(agent, 'submit', { ...PAGE, label: 'book', metadata: { page: '1' } })
    expect(made).toMatchObject({
      id: expect.stringMatching(/^job_/) as string,
      metadata: { label: 'book', page: '1' },
      price: { estimate: 0.003 },
      account: { unlimited: false },
      next: expect.stringContaining(made.id) as string,
    })
    const done = await ended(agent, made.id)
    expect(done).toMatchObject({
      status: 'succeeded',
      price: { charged: 0.003 },
      account: { balance: 0.997, held: 0 },
      artifacts: [{ media_type: 'image/webp' }],
    })
    expect(await failure(agent, 'cancel', { id: made.id })).toMatchObject({ code: 'not_cancelable' })
    expect((await tool(agent, 'get', { id: made.id })).input).toMatchObject({ prompt: 'a fox' })

    const { content } = await call(agent, 'artifact', { id: made.id })
    expect(JSON.parse(textOf({ content }))).toMatchObject({
      id: made.id,
      shown: 'picture',
      account: { balance: 0.997 },
    })
    const [, image, link] = content
    if (image?.type !== 'image' || link?.type !== 'resource_link') throw new Error('no picture and link')
    expect(image.mimeType).toBe('image/webp')
    const picture = Buffer.from(image.data, 'base64')
    expect((await sharp(picture).metadata()).format).toBe('webp')
    expect(link.uri).toBe(done.artifacts[0]?.url.startsWith(service.url) ? link.uri : 'a link to this service')
    expect(Buffer.from(await (await fetch(link.uri)).arrayBuffer())).toEqual(picture)
  },
)

// The revisions of the protocol differ in messages, not in tools.
describe.each(WAYS.slice(0, 2))('an agent %s', (_way, connect) => {
  test('finds its jobs again, and pays once for a submission that it repeats', async () => {
    const key = await funded()
    const agent = await connect(key)
    const asked = { ...PAGE, label: 'task 7', idempotency_key: 'task 7, page 1' }
    const { id } = await tool(agent, 'submit', asked)
    // As an agent ends that is killed: its process, or only its connection.
    if (agent.pid === null) await agent.client.close()
    else process.kill(agent.pid, 'SIGKILL')

    const next = await connect(key)
    const { jobs } = await tool<{ jobs: JobAnswer[] }>(next, 'list', { label: 'task 7' })
    expect(jobs.map((job) => job.id)).toEqual([id])
    expect((await tool(next, 'submit', asked)).id).toBe(id)
    expect(await ended(next, id)).toMatchObject({ status: 'succeeded', account: { balance: 0.997 } })
    expect(await tool(next, 'list', { label: 'task 8' })).toMatchObject({ jobs: [], next_cursor: null })
    const reused = await failure(next, 'submit', { ...asked, input: { prompt: 'a hare' } })
    expect(reused).toMatchObject({ code: 'idempotency_key_reused', idempotency_key: asked.idempotency_key })
  })

  test('is answered while a job runs, and cancels it', async () => {
    const key = await funded()
    const agent = await connect(key)
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const { id } = await tool(agent, 'submit', PAGE)
    await inPhase({ client: createClient({ baseUrl: service.url, key }) }, id, 'created')
    const now = await tool(agent, 'wait', { id, seconds: 1 })
    expect(now.next).toMatch(new RegExp(`^Not final yet. Call wait with id ${id}`))
    const canceled = await tool(agent, 'cancel', { id })
    expect(canceled.account).toMatchObject({ unlimited: false })
    expect(await ended(agent, id)).toMatchObject({ status: 'canceled', price: { charged: 0 } })
    expect(await failure(agent, 'artifact', { id })).toMatchObject({ code: 'not_found' })
  })

  test('learns what is wrong, and what to do', async () => {
    const agent = await connect(await funded(['jobs:read', 'jobs:write'], 1_000))
    const poor = await failure(agent, 'submit', PAGE)
    expect(poor).toMatchObject({ code: 'insufficient_credits', missing: 0.002 })
    expect(poor.what_to_do).toContain('cheaper preset')
    const wrong = await failure(agent, 'submit', { preset: 'story-page', input: { prompt: 7 } })
    expect(wrong).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/input/prompt' }] })
    expect(await failure(agent, 'get', { id: `job_${'7'.repeat(26)}` })).toMatchObject({ code: 'not_found' })
    expect(await failure(agent, 'presets', { name: 'nothing' })).toMatchObject({ code: 'preset_not_found' })
    // The key may not read credits.
    expect(await tool(agent, 'presets')).toMatchObject({ account: null })

    const reader = await connect(await funded(['jobs:read']))
    expect(await failure(reader, 'submit', PAGE)).toMatchObject({
      code: 'forbidden',
      message: 'The key lacks the scope jobs:write.',
    })
    const unknown = await call(reader, 'wait', { id: 'job_x', second: 1 })
    expect(unknown).toMatchObject({ isError: true })
    expect(textOf(unknown)).toContain('second')
  })
})

const PING = { jsonrpc: '2.0', id: 1, method: 'ping' }
const post = (body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${service.url}/mcp`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
  })
const BEARER = { authorization: `Bearer ${TEST_KEY}` }

describe('POST /mcp', () => {
  test('answers one message, without a handshake or a session', async () => {
    const answer = await post(PING, BEARER)
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([200, null])
    expect(await answer.json()).toEqual({ jsonrpc: '2.0', id: 1, result: {} })
    const batch = await post([PING, PING], BEARER)
    expect([batch.status, ((await batch.json()) as ErrorAnswer).code]).toEqual([422, 'invalid_request'])
    expect((await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, BEARER)).status).toBe(202)
  })

  test('refuses what the protocol does not have, and streams', async () => {
    const errorOf = async (body: object, headers: Record<string, string> = {}): Promise<unknown> => {
      const answer = await post(body, { ...BEARER, ...headers })
      expect(answer.headers.get('content-type')).toContain('application/json')
      return [answer.status, ((await answer.json()) as { error: { code: number } }).error.code]
    }
    expect(await errorOf(PING, { accept: 'text/html' })).toEqual([406, -32000])
    expect(await errorOf(PING, { 'mcp-protocol-version': '2001-01-01' })).toEqual([400, expect.any(Number)])
    expect(await errorOf({ ...PING, method: 'resources/list' })).toEqual([200, -32601])
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': INFO,
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const listen = {
      ...PING,
      method: 'subscriptions/listen',
      params: { _meta: meta, notifications: { toolsListChanged: true } },
    }
    const modern = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': listen.method }
    expect(await errorOf(listen, modern)).toEqual([200, -32603])
    for (const method of ['GET', 'DELETE'])
      expect((await fetch(`${service.url}/mcp`, { method, headers: BEARER })).status).toBe(405)
  })

  test('needs a key: no session, no page of another site, no other host name', async () => {
    const codeOf = async (headers: Record<string, string>): Promise<unknown> => {
      const answer = await post(PING, headers)
      return answer.status === 200 ? 200 : ((await answer.json()) as ErrorAnswer).code
    }
    expect(await codeOf({})).toBe('unauthenticated')
    const { name, value } = await sessionCookie(service.url, TEST_KEY)
    expect(await codeOf({ cookie: `${name}=${value}`, origin: service.url })).toBe('unauthenticated')
    expect(await codeOf({ ...BEARER, origin: 'https://elsewhere.example' })).toBe('cross_site')
    expect(await codeOf({ ...BEARER, 'sec-fetch-site': 'cross-site' })).toBe('cross_site')
    expect(await codeOf({ ...BEARER, origin: service.url })).toBe(200)
  })

  test('counts as a request of its tenant, and is limited in size', async () => {
    const tenant = await operator.newTenant({ requests_per_minute: 1 })
    const { key } = await operator.newKey(tenant)
    const mine = { authorization: `Bearer ${key}` }
    const asked = { ...PING, method: 'tools/call', params: { name: 'presets', arguments: {} } }
    const statuses = [await post(asked, mine), await post(asked, mine)].map(({ status }) => status)
    expect(statuses).toEqual([200, 429])
    expect((await post({ ...PING, params: { text: 'x'.repeat(4 * 1024 * 1024) } }, BEARER)).status).toBe(413)
  })
})

test('genqueue mcp says on stderr what is wrong, and leaves stdout to the protocol', async () => {
  const child = startGenqueue(['mcp'], { env: { GENQUEUE_URL: 'http://queue.example' } })
  expect(await child.exited).toMatchObject({ code: 2 })
  expect([child.stdout, child.stderr]).toEqual(['', expect.stringContaining('No API key')])
})
