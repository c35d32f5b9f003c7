import Replicate, { validateWebhook } from 'replicate'
import { expect, test } from 'vitest'
import { simulatorFor } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

/** Replicate's own client, unmodified. */

const clientOf = (baseUrl: string) => new Replicate({ auth: 'r8_any', baseUrl, useFileOutput: false })

test('create by version and by model, wait, get, run', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  const version = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
  const hello = await client.predictions.create({ version, input: { text: 'Ann' } })
  expect(hello.status).toBe('starting')
  expect((await client.wait(hello, { interval: 20 })).output).toBe('hello Ann')
  const picture = await client.predictions.create({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'a lighthouse' },
    wait: true,
  })
  expect(picture.status).toBe('succeeded')
  expect(await client.predictions.get(picture.id)).toMatchObject({ id: picture.id, output: picture.output })
  const output = await client.run('google/gemini-3-pro', { input: { prompt: 'bees' } })
  expect(output).toEqual(expect.arrayContaining([expect.any(String)]))
  const deployed = await client.deployments.predictions.create('acme', 'flux-fast', { input: { prompt: 'x' } })
  expect(deployed.status).toBe('starting')
})

test('list and paginate', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  const made = await Promise.all(Array.from({ length: 130 }, () => simulator.create()))
  const seen = new Set<string>()
  for await (const page of client.paginate(() => client.predictions.list())) for (const { id } of page) seen.add(id)
  expect(seen).toEqual(new Set(made.map(({ body }) => body.id)))
})

test('cancel', async () => {
  const simulator = await simulatorFor({ speed: 1 })
  const client = clientOf(simulator.apiUrl)
  const prediction = await client.predictions.create({ model: 'google/gemini-3-pro', input: { prompt: 'bees' } })
  expect((await client.predictions.cancel(prediction.id)).status).toBe('canceled')
})

test('the webhook secret validates a received webhook', async () => {
  const [simulator, receiver] = [await simulatorFor(), await webhookReceiver()]
  const client = clientOf(simulator.apiUrl)
  const { id } = await client.predictions.create({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'x' },
    webhook: receiver.url,
    webhook_events_filter: ['completed'],
  })
  const { headers, raw } = await receiver.completed(id)
  const { key } = await client.webhooks.default.secret.get()
  const parts = {
    id: String(headers['webhook-id']),
    timestamp: String(headers['webhook-timestamp']),
    signature: String(headers['webhook-signature']),
    body: raw,
  }
  expect(await validateWebhook({ ...parts, secret: key })).toBe(true)
  expect(await validateWebhook({ ...parts, body: `${raw} `, secret: key })).toBe(false)
})

test('account, models, versions, hardware, and errors it understands', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  expect((await client.accounts.current()).username).toBe('acme')
  expect((await client.models.list()).results).toHaveLength(6)
  const model = await client.models.get('black-forest-labs', 'flux-schnell')
  const version = await client.models.versions.get(
    'black-forest-labs',
    'flux-schnell',
    String(model.latest_version?.id),
  )
  expect(version).toMatchObject({ openapi_schema: { components: { schemas: { Input: { required: ['prompt'] } } } } })
  expect(await client.hardware.list()).toContainEqual({ name: 'CPU', sku: 'cpu' })
  const create = client.predictions.create({ model: 'black-forest-labs/flux-schnell', input: {} })
  await expect(create).rejects.toThrow(/422 .*prompt is required/)
})

test('pays six times for one create when the socket drops: why a service must not use it as it is', async () => {
  const simulator = await simulatorFor()
  await simulator.faults({ create: { cut_after_accept: { next: 5 } } })
  await clientOf(simulator.apiUrl).predictions.create({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'x' },
  })
  expect((await simulator.books()).counts).toMatchObject({ create_requests: 6, created: 6 })
})
