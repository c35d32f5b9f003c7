// LangChain takes no base URL: the fetch of the process is redirected.
import assert from 'node:assert/strict'
import { Replicate } from '@langchain/community/llms/replicate'
import { API, TEXT, TOKEN, done } from './settings.mjs'
import { redirectingFetch } from './simulator.mjs'

globalThis.fetch = redirectingFetch({ to: API })
const { latest_version } = await (
  await fetch(`https://api.replicate.com/v1/models/${TEXT}`, { headers: { authorization: `Bearer ${TOKEN}` } })
).json()
const model = new Replicate({ model: `${TEXT}:${latest_version.id}`, apiKey: TOKEN, input: { max_output_tokens: 100 } })

await done('invoke', async () => assert.match(await model.invoke('a haiku'), /\w{3}/))

await done('stream', async () => {
  let text = ''
  for await (const chunk of await model.stream('a haiku')) text += chunk
  assert.match(text, /\w{3}/)
})
