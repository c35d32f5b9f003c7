// Replicate's MCP server, as an agent uses it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { API, TOKEN, done } from './settings.mjs'

const client = new Client({ name: 'test', version: '1.0.0' })
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: [join(import.meta.dirname, 'node_modules/replicate-mcp/index.js')],
    env: { REPLICATE_API_TOKEN: TOKEN, REPLICATE_BASE_URL: API, PATH: process.env.PATH ?? '' },
  }),
)
const call = async (name, given = {}) => {
  const { content, isError } = await client.callTool({ name, arguments: given })
  const text = content.map((part) => part.text ?? '').join('')
  assert.ok(!isError, `${name}: ${text}`)
  return text.startsWith('{') ? JSON.parse(text) : {}
}

await done('tools', async () => assert.ok((await client.listTools()).tools.length > 20))
await done('account', async () => assert.equal(typeof (await call('get_account')).username, 'string'))
await done('models', async () => {
  // The server does not pass on what it read.
  await call('get_models', { model_owner: 'black-forest-labs', model_name: 'flux-schnell' })
  await call('list_models')
})
await done('a prediction of a model', async () => {
  const created = await call('create_models_predictions', {
    model_owner: 'black-forest-labs',
    model_name: 'flux-schnell',
    input: { prompt: 'a lighthouse' },
    Prefer: 'wait',
  })
  assert.equal(created.status, 'succeeded')
  const found = await call('get_predictions', { prediction_id: created.id })
  assert.equal(found.id, created.id)
})
await done('a list', async () => assert.ok(((await call('list_predictions')).results ?? []).length >= 0))
await client.close()
