import Replicate, { validateWebhook } from 'replicate'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { bytesAt, damagedPhoto, tone } from './support/media.ts'
import { waitFor } from '../support/wait-for.ts'
import { finished, simulatorFor, type TestSimulator } from './support/simulator.ts'
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

/** A client that reaches the simulator through a TLS proxy: with https URLs it creates file objects. */
const clientBehindProxy = (simulator: TestSimulator) =>
  new Replicate({
    auth: 'r8_any',
    baseUrl: simulator.apiUrl.replace('http:', 'https:'),
    fetch: (address: string | URL | Request, init?: RequestInit) => {
      const url = new URL(address instanceof Request ? address.url : address)
      url.protocol = 'http:'
      const headers = new Headers(init?.headers)
      headers.set('x-forwarded-proto', 'https')
      return fetch(url, { ...init, headers })
    },
  })

test('run returns readable files', async () => {
  const simulator = await simulatorFor()
  const output = await clientBehindProxy(simulator).run('black-forest-labs/flux-schnell', {
    input: { prompt: 'a lighthouse', megapixels: '0.25', output_format: 'png' },
  })
  expect(output).toHaveLength(1)
  const [file] = Array.isArray(output) ? output : []
  expect(file.url().href).toMatch(/^https:.*\/out-0\.png$/)
  const blob: Blob = await file.blob()
  expect(blob.type).toBe('image/png')
  expect((await sharp(Buffer.from(await blob.arrayBuffer())).metadata()).format).toBe('png')
})

test('run uploads its files: a picture is restored, a speech becomes a video', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  const photo = await damagedPhoto()
  const restored = await client.run('flux-kontext-apps/restore-image', { input: { input_image: photo } })
  expect((await sharp(await bytesAt(String(restored))).metadata()).width).toBe(300)
  const audio = new Blob([new Uint8Array(tone(1))], { type: 'audio/wav' })
  const video = await client.run('wan-video/wan-2.2-s2v', { input: { prompt: 'hello', image: photo, audio } })
  expect((await bytesAt(String(video))).subarray(4, 8).toString()).toBe('ftyp')
  expect((await client.files.list()).results.map(({ content_type: type }) => type)).toEqual([
    'audio/wav',
    'application/octet-stream',
    'application/octet-stream',
  ])
})

test('run sends a picture inline when the upload fails', async () => {
  const simulator = await simulatorFor()
  await simulator.faults({ uploads: { status: 1 } })
  const small = new Blob([new Uint8Array(await damagedPhoto({ width: 40, height: 30 }))], { type: 'image/png' })
  const client = clientOf(simulator.apiUrl)
  const restored = await client.run('flux-kontext-apps/restore-image', { input: { input_image: small } })
  expect((await sharp(await bytesAt(String(restored))).metadata()).width).toBe(40)
})

test('files: create, get, list, delete', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  const file = await client.files.create(Buffer.from('some bytes'), { customer: 7 })
  expect(file).toMatchObject({ size: 10, metadata: { customer: 7 }, content_type: 'application/octet-stream' })
  expect(await client.files.get(file.id)).toEqual(file)
  expect((await client.files.list()).results).toEqual([file])
  expect(await client.files.delete(file.id)).toBe(true)
  await expect(client.files.get(file.id)).rejects.toThrow(/404 .*File not found/)
  await simulator.post('/_sim/habits', { max_file_bytes: 1024 * 1024 })
  await expect(client.files.create(Buffer.alloc(1024 * 1024 + 1))).rejects.toThrow(/413 .*less than 1MB/)
})

test('stream: text as it is written, readable files, and errors', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  let text = ''
  const kinds = new Set<string>()
  for await (const event of client.stream('google/gemini-3-pro', { input: { prompt: 'Write a poem about bees' } })) {
    kinds.add(event.event)
    text += event.toString()
  }
  expect(kinds).toEqual(new Set(['output', 'done']))
  expect(text).toMatch(/^# Bees\n\n[^]*\n$/)
  const [{ id }] = (await simulator.get('predictions')).body.results
  expect((await finished(simulator, id)).output.join('')).toBe(text)

  const pictures: unknown[] = []
  const input = { prompt: 'x', megapixels: '0.25' }
  for await (const { event, data } of client.stream('black-forest-labs/flux-schnell', { input })) {
    if (event === 'output') pictures.push(data)
  }
  expect(pictures).toHaveLength(1)
  expect(await new Response(pictures[0] as ReadableStream).blob()).toMatchObject({ size: expect.any(Number) })

  await simulator.faults({ predictions: { fail: { next: 1, error: 'out of luck' } } })
  const failing = client.stream('google/gemini-3-pro', { input: { prompt: 'bees' } })
  const read = async () => {
    for await (const { event } of failing) kinds.add(event)
  }
  await expect(read()).rejects.toThrow('out of luck')
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

test('account, models, versions, hardware, and errors that the client parses', async () => {
  const simulator = await simulatorFor()
  const client = clientOf(simulator.apiUrl)
  expect((await client.accounts.current()).username).toBe('acme')
  expect((await client.models.list()).results).toHaveLength(7)
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

test('the client pays six times for one create when the socket drops, so a service must not use its retries', async () => {
  const simulator = await simulatorFor()
  await simulator.faults({ create: { cut_after_accept: { next: 5 } } })
  await clientOf(simulator.apiUrl).predictions.create({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'x' },
  })
  expect((await simulator.books()).counts).toMatchObject({ create_requests: 6, created: 6 })
})

test('models, collections, trainings and deployments', async () => {
  const simulator = await simulatorFor({ speed: 2000 })
  const client = clientOf(simulator.apiUrl)
  expect((await client.models.search('restore')).results.map(({ name }) => name)).toEqual(['restore-image'])
  const { slug } = (await client.collections.list()).results[0] ?? { slug: '' }
  expect((await client.collections.get(slug)).models?.length).toBeGreaterThan(0)

  await client.models.create('acme', 'portraits', { visibility: 'private', hardware: 'cpu' })
  const { latest_version: base } = await client.models.get('ostris', 'flux-dev-lora-trainer')
  const input = { input_images: 'https://a.example/pictures.zip' }
  const trainer = ['ostris', 'flux-dev-lora-trainer', base?.id ?? ''] as const
  const { id } = await client.trainings.create(...trainer, { destination: 'acme/portraits', input })
  const trained = await waitFor('the end of the training', async () => {
    const training = await client.trainings.get(id)
    return training.status === 'succeeded' && training
  })
  expect((await client.trainings.list()).results.map((one) => one.id)).toEqual([trained.id])
  const [version] = await client.models.versions.list('acme', 'portraits').then(versionsIn)
  const output = await client.run(`acme/portraits:${version}`, { input: { prompt: 'x', megapixels: '0.25' } })
  expect(output).toEqual([expect.stringContaining('/files/')])

  const config = { hardware: 'cpu', min_instances: 0, max_instances: 1 }
  const about = { name: 'portraits', model: 'acme/portraits', version: version ?? '', ...config }
  const made = await client.deployments.create(about)
  expect(made.current_release.configuration).toEqual(config)
  const changed = await client.deployments.update('acme', 'portraits', { max_instances: 2 })
  expect(changed.current_release.number).toBe(2)
  expect(await client.deployments.delete('acme', 'portraits')).toBe(true)
  const names: string[] = []
  for await (const page of client.paginate(client.deployments.list)) names.push(...page.map(({ name }) => name))
  expect(names).toEqual(['flux-fast', 'writer'])
})

/** The client's type says a list, the API answers a page. */
const versionsIn = (answer: unknown): string[] => {
  const { results } = answer as { results: { id: string }[] }
  return results.map(({ id }) => id)
}
