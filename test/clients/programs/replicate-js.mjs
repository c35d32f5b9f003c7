// The README of the official JavaScript client, in the order of its sections: run, stream, predictions, files, models, deployments, pages.
import assert from 'node:assert/strict'
import Replicate, { parseProgressFromLogs, validateWebhook } from 'replicate'
import { API, TOKEN, FLUX, TEXT, done } from './settings.mjs'

const replicate = new Replicate({ auth: TOKEN, baseUrl: API, useFileOutput: false })

await done('run of an official model', async () => {
  const output = await replicate.run(FLUX, { input: { prompt: 'a lighthouse', num_outputs: 2 } })
  assert.equal(output.length, 2)
  for (const url of output) assert.equal((await fetch(url)).status, 200)
})

await done('run in polling mode, with progress', async () => {
  const seen = []
  const output = await replicate.run(
    FLUX,
    { input: { prompt: 'a dog' }, wait: { mode: 'poll', interval: 50 } },
    (one) => seen.push(one.status),
  )
  assert.equal(output.length, 1)
  assert.equal(seen.at(-1), 'succeeded')
})

await done('run by a version', async () => {
  const version = (await replicate.models.get('replicate', 'hello-world')).latest_version.id
  assert.equal(await replicate.run(`replicate/hello-world:${version}`, { input: { text: 'you' } }), 'hello you')
})

await done('stream', async () => {
  const events = []
  for await (const event of replicate.stream(TEXT, { input: { prompt: 'a haiku' } })) events.push(event)
  assert.equal(events.at(-1).event, 'done')
  assert.ok(
    events
      .filter(({ event }) => event === 'output')
      .map(String)
      .join('').length > 10,
  )
})

await done('create, get, wait and cancel', async () => {
  const created = await replicate.predictions.create({ model: FLUX, input: { prompt: 'x' } })
  assert.equal(created.status, 'starting')
  const ended = await replicate.wait(created, { interval: 50 })
  assert.equal(ended.status, 'succeeded')
  assert.equal(typeof (parseProgressFromLogs(ended)?.percentage ?? 0), 'number')
  const slow = await replicate.predictions.create({ model: TEXT, input: { prompt: 'x' } })
  await replicate.predictions.cancel(slow.id)
  assert.match((await replicate.wait(slow, { interval: 50 })).status, /^(canceled|succeeded)$/)
})

await done('list and paginate', async () => {
  const page = await replicate.predictions.list()
  assert.ok(page.results.length >= 4)
  let pages = 0
  for await (const batch of replicate.paginate(replicate.predictions.list)) {
    assert.ok(Array.isArray(batch))
    if (++pages === 2) break
  }
})

await done('files as inputs', async () => {
  const file = await replicate.files.create(new Blob(['a picture'], { type: 'text/plain' }), { note: 'mine' })
  assert.deepEqual((await replicate.files.get(file.id)).metadata, { note: 'mine' })
  assert.ok((await replicate.files.list()).results.some(({ id }) => id === file.id))
  assert.equal(await replicate.files.delete(file.id), true)
})

await done('models, collections, hardware, account', async () => {
  const model = await replicate.models.get('black-forest-labs', 'flux-schnell')
  assert.equal(model.owner, 'black-forest-labs')
  const { results } = await replicate.models.versions.list('black-forest-labs', 'flux-schnell')
  const [version] = results
  assert.equal((await replicate.models.versions.get('black-forest-labs', 'flux-schnell', version.id)).id, version.id)
  assert.ok((await replicate.models.list()).results.length > 0)
  assert.ok((await replicate.models.search('flux')).results.length > 0)
  assert.ok((await replicate.collections.list()).results.length >= 0)
  assert.ok((await replicate.hardware.list()).length > 0)
  assert.equal(typeof (await replicate.accounts.current()).username, 'string')
})

await done('a deployment', async () => {
  const created = await replicate.deployments.predictions.create('acme', 'flux-fast', { input: { prompt: 'x' } })
  assert.equal((await replicate.wait(created, { interval: 50 })).status, 'succeeded')
})

await done('the signing secret', async () => {
  const { key } = await replicate.webhooks.default.secret.get()
  assert.match(key, /^whsec_/)
  assert.equal(typeof validateWebhook, 'function')
})
