// The AI SDK: pictures by generateImage.
import assert from 'node:assert/strict'
import { createReplicate } from '@ai-sdk/replicate'
import { generateImage } from 'ai'
import { API, FLUX, TOKEN, done } from './settings.mjs'

const replicate = createReplicate({ apiToken: TOKEN, baseURL: API })

await done('generateImage', async () => {
  const { image } = await generateImage({ model: replicate.image(FLUX), prompt: 'a lighthouse', aspectRatio: '16:9' })
  assert.ok(image.uint8Array.length > 1000)
  assert.match(image.mediaType, /^image\//)
})

await done('generateImage, by a version', async () => {
  const { latest_version } = await (
    await fetch(`${API}/models/${FLUX}`, { headers: { authorization: `Bearer ${TOKEN}` } })
  ).json()
  const { image } = await generateImage({ model: replicate.image(`${FLUX}:${latest_version.id}`), prompt: 'a dog' })
  assert.ok(image.uint8Array.length > 1000)
})
