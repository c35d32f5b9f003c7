import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { finished, submitMany } from '../support/finished.ts'
import { noisyPicture } from '../support/picture.ts'
import { startOwnRedis } from '../support/redis.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Replicate's answers are as long as they are: pages, logs, errors and outputs of many megabytes. */

const FLUX = 'black-forest-labs/flux-schnell'
const GEMINI = 'google/gemini-3-pro'

/** Takes a picture and writes a word: what is measured is how it is listed, not how it is drawn. */
const LOOK = {
  name: 'acme/look',
  input_schema: { properties: { image: { type: 'string', format: 'uri' }, seed: { type: 'integer' } } },
  output: { kind: 'json' as const, value: 'a picture' },
}

let redis: Awaited<ReturnType<typeof startOwnRedis>>
let service: TestService
beforeAll(async () => {
  redis = await startOwnRedis()
  service = await startService({
    redisUrl: redis.url,
    timings: PATIENT_TIMINGS,
    simulator: { speed: 20, models: { models: [LOOK] } },
  })
})
afterAll(async () => {
  await service.stop()
  await redis.stop()
})
afterEach(() => service.simulator.faults({ predictions: null, webhooks: null }))

const submit = async (predictions: object, input: object = { prompt: 'large' }, model = FLUX): Promise<string> => {
  await service.simulator.faults({ predictions })
  return (await service.client.submit({ model, input: { ...input } })).id
}
const artifact = async (path: string): Promise<Buffer> => {
  const response = await fetch(new URL(path, service.url), { headers: { authorization: `Bearer ${TEST_KEY}` } })
  expect(response.status).toBe(200)
  return Buffer.from(await response.arrayBuffer())
}
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

test('four data URIs of 5 MB are stored, also when the webhook is refused for its size', async () => {
  const id = await submit({ huge_output: { next: 1, as: 'data_uris', count: 4, bytes: 5_000_000 } })
  const job = await finished(service, id)
  expect(job).toMatchObject({ status: 'succeeded', error: null })
  expect(job.artifacts.map(({ bytes, sha256: digest }) => [bytes, digest])).toEqual(
    [1, 2, 3, 4].map((byte) => [5_000_000, sha256(Buffer.alloc(5_000_000, byte))]),
  )
  expect(job.output).toHaveLength(4)
})

test('a text of 20 MB becomes a file, byte by byte', async () => {
  const id = await submit({ huge_output: { next: 1, as: 'text', bytes: 20_000_000 } }, { prompt: 'x' }, GEMINI)
  const job = await finished(service, id)
  expect(job).toMatchObject({ status: 'succeeded', artifacts: [{ bytes: 20_000_000 }] })
  const text = await artifact(String(job.output))
  expect(text.equals(Buffer.from('A long text. '.repeat(1_538_462).slice(0, 20_000_000)))).toBe(true)
})

test('tokens beyond what can be kept end the job at once, billed, with the size', async () => {
  const id = await submit({ huge_output: { next: 1, as: 'tokens', bytes: 12_000_000 } }, { prompt: 'x' }, GEMINI)
  const job = await finished(service, id)
  expect(job).toMatchObject({ status: 'failed', error: { code: 'output_not_stored', billed: 'yes' } })
  expect(job.error?.message).toMatch(/the output has \d{8} bytes/)
})

test('an error of 600 kB is shortened to its beginning and end', async () => {
  const id = await submit({ fail: { next: 1, error: `ValueError: ${'trace '.repeat(100_000)}the end` } })
  const { error } = await finished(service, id)
  expect(error?.code).toBe('prediction_failed')
  expect(error?.message).toMatch(/^ValueError: trace [^]*the end$/)
  expect(error?.message.length).toBeLessThan(25_000)
})

test('17 MB of logs and pages of 24 MB hold up neither creation after SCRIPT FLUSH nor polls', async () => {
  const picture = `data:image/png;base64,${(await noisyPicture(240)).toString('base64')}`
  const logs = await submit({ huge_logs: { next: 1, bytes: 17_000_000 } })
  await finished(service, logs)
  await service.simulator.faults({ webhooks: { drop: 1 } })
  const earlier = (await service.simulator.books()).counts.created
  const ids = await submitMany(service, 100, (i) => ({
    model: LOOK.name,
    input: { image: picture, seed: i },
  }))
  const created = async (): Promise<number> => (await service.simulator.books()).counts.created
  await waitFor('many of them to be created', async () => (await created()) >= earlier + 80)
  await service.redis.script('FLUSH')
  const last = await service.client.submit({ model: FLUX, input: { prompt: 'after the flush' } })
  expect(await finished(service, last.id)).toMatchObject({ status: 'succeeded' })
  for (const id of ids) expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
})
