// LlamaIndex takes no base URL either.
import assert from 'node:assert/strict'
import { ReplicateLLM } from '@llamaindex/replicate'
import { API, TOKEN, done } from './settings.mjs'
import { redirectingFetch } from './simulator.mjs'

globalThis.fetch = redirectingFetch({ to: API })
process.env.REPLICATE_API_TOKEN = TOKEN
const model = new ReplicateLLM({ model: 'llama-3-70b-instruct' })
const messages = [{ role: 'user', content: 'a haiku' }]

await done('chat', async () => assert.match((await model.chat({ messages })).message.content, /\w{3}/))

await done('chat, as a stream', async () => {
  let text = ''
  for await (const { delta } of await model.chat({ messages, stream: true })) text += delta
  assert.match(text, /\w{3}/)
})
