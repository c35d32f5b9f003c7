import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Explanation, Job } from '../../src/client/types.ts'
import { dataUri, tone } from '../simulator/support/media.ts'
import { code, createOperator, type Answer, type Operator } from '../support/operator.ts'
import { runGenqueue } from '../support/genqueue.ts'
import { noisyPicture } from '../support/picture.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** What a submission would do, without doing it. */

const PICTURE = `
name: picture
title: Picture
model: black-forest-labs/flux-schnell
input: { overrides: [prompt, image] }
schema:
  required: [prompt]
  properties: { prompt: { type: string }, image: { type: string, format: uri } }
price: { per_run: 3000 }
policies: { concurrency: 5, per_tenant: 2 }
`

const SPEECH = `
name: speech
title: Speech
model: wan-video/wan-2.2-s2v
input: { overrides: [prompt, image, audio] }
schema:
  required: [audio]
  properties: { prompt: { type: string }, image: { type: string, format: uri }, audio: { type: string, format: uri } }
price: { per_video_second: 200, expect: { video_seconds: { duration_of: audio, default: 10 } } }
`

let service: TestService
let operator: Operator
let tenant: string
let key: string
beforeAll(async () => {
  const dir = join(tempDir(), 'presets')
  mkdirSync(dir)
  writeFileSync(join(dir, 'picture.yaml'), PICTURE)
  writeFileSync(join(dir, 'speech.yaml'), SPEECH)
  service = await startService({ env: { PRESETS_DIR: dir }, simulator: { speed: 50 } })
  operator = createOperator(service)
  tenant = await operator.newTenant({ queued_jobs: 3 })
  key = (await operator.newKey(tenant)).key
  const credits = { amount: 20_000, reason: 'bought' }
  expect((await operator.ask(`/v1/admin/tenants/${tenant}/credits`, { body: credits })).status).toBe(201)
})
afterAll(() => service.stop())

const explain = (body: object, path = '/v1/jobs', asked: object = {}): Promise<Answer<Explanation>> =>
  operator.ask<Explanation>(`${path}?explain=1`, { key, body, ...asked })
const picture = (input: object = {}): object => ({ preset: 'picture', input: { prompt: 'a lighthouse', ...input } })

/** What processes write by themselves, and counts of requests. */
const BY_THEMSELVES =
  /:(presence|api-key:[^:]*|conditions|swept|answerers|generation|queue:.*|account:[^:]*|account:.*:reads|tenants|.*requests.*)$/

async function contents(): Promise<Record<string, string>> {
  const names = (await service.redis.keys(`${service.keys.tag}:*`)).filter((name) => !BY_THEMSELVES.test(name))
  const dumps = await Promise.all(names.map((name) => service.redis.dumpBuffer(name)))
  return Object.fromEntries(names.map((name, i) => [name, dumps[i]?.toString('base64') ?? '']))
}

describe('an explanation', () => {
  test('says what a job would cost, which limits apply and when it would start, and changes nothing', async () => {
    const before = await contents()
    const image = `data:image/png;base64,${(await noisyPicture(8)).toString('base64')}`
    const files = picture({ image })
    const { status, body } = await explain(files, '/v1/jobs', { headers: { 'idempotency-key': 'only-asked' } })
    expect([status, body]).toMatchObject([200, { jobs: 1 }])
    expect(body).toMatchObject({
      jobs: 1,
      runs: [{ preset: 'picture', model: 'black-forest-labs/flux-schnell', priority: 'interactive', jobs: 1 }],
      cost: { hold: 3000, unpriced: 0, balance: 20_000, balance_after: 17_000 },
      budgets: [],
      limits: [
        { name: 'queued_jobs', scope: `tenant:${tenant}`, limit: 3, used: 0 },
        { name: 'concurrency', scope: 'preset:picture', limit: 5, used: 0 },
        { name: 'concurrency', scope: `preset:picture@${tenant}`, limit: 2, used: 0 },
      ],
      accounts: ['default'],
      waiting_for: { reason: 'budget' },
      forecast: { position: 0, starts_in: { p50: 0 }, run_time: null },
    })
    expect(body.last_forecast).toEqual(body.forecast)
    expect(await contents()).toEqual(before)
    // The key was not used: the same one submits another job.
    const other = await operator.ask<Job>('/v1/jobs', {
      key,
      body: picture(),
      headers: { 'idempotency-key': 'only-asked' },
    })
    expect(other.status).toBe(202)
    await operator.finished(key, other.body.id)
  })

  test('of a batch has the whole cost, and the start of its last job', async () => {
    const budget = { scope: 'tenant', tenant, period: 'day', limit: 20_000, title: 'daily' }
    const { body: made } = await operator.ask<{ id: string }>('/v1/admin/budgets', { body: budget })
    const pause = { scope: `tenant:${tenant}`, reason: 'maintenance' }
    await operator.ask('/v1/admin/pauses', { body: pause })
    const body = { defaults: picture(), items: [{}, {}, {}] }
    const answer = await explain(body, '/v1/batches')
    expect(answer.body).toMatchObject({
      jobs: 3,
      runs: [{ priority: 'batch', jobs: 3 }],
      cost: { hold: 9000 },
      budgets: [{ id: made.id, title: 'daily', limit: 20_000, used: 0, used_after: 9000 }],
      waiting_for: { reason: 'paused' },
      forecast: { position: 0, starts_in: null },
      last_forecast: { position: 2, starts_in: null },
    })
    const ordered = await explain({ ...body, sequential: true }, '/v1/batches')
    expect(ordered.body.last_forecast).toBeNull()
    await operator.ask(`/v1/admin/pauses?scope=${encodeURIComponent(pause.scope)}`, { method: 'DELETE' })
    await operator.ask(`/v1/admin/budgets/${made.id}`, { method: 'DELETE' })
  })

  test('measures the files by whose duration a job is held for', async () => {
    const sound = tone(20)
    const held = async (audio: string): Promise<number> =>
      (await explain({ preset: 'speech', input: { audio } })).body.cost.hold
    expect(await held(dataUri(sound, 'audio/wav'))).toBe(4000)
    const client = createClient({ baseUrl: service.url, key })
    const { url } = await client.upload(new Blob([sound], { type: 'audio/wav' }))
    expect(await held(new URL(url).pathname)).toBe(4000)
    expect(await held('https://example.com/of-any-length.wav')).toBe(2000)
  })

  test('is refused as the submission would be', async () => {
    const batch = (count: number): object => ({ defaults: picture(), items: Array.from({ length: count }, () => ({})) })
    const missing = picture({ image: '/v1/uploads/upl_01KGX5Q8Z2V7M4N6P9R3S5T8W1' })
    expect(code(await explain({ preset: 'picture', input: {} }))).toEqual([422, 'invalid_request'])
    expect(code(await explain(missing))).toEqual([422, 'invalid_request'])
    expect((await explain(missing)).body.errors).toMatchObject([{ pointer: '/input/image', code: 'unknown_upload' }])
    expect(code(await explain(batch(4), '/v1/batches'))).toEqual([429, 'too_many_queued'])
    const free = await operator.newTenant()
    key = (await operator.newKey(free)).key
    await operator.ask(`/v1/admin/tenants/${free}/credits`, { body: { amount: 5000, reason: 'bought' } })
    expect(code(await explain(batch(2), '/v1/batches'))).toEqual([402, 'insufficient_credits'])
    expect(code(await explain({ model: 'black-forest-labs/flux-schnell', input: { prompt: 'x' } }))).toEqual([
      403,
      'no_price',
    ])
    const reader = (await operator.newKey(free, { scopes: ['jobs:read'] })).key
    expect(code(await explain(picture(), '/v1/jobs', { key: reader }))).toEqual([403, 'forbidden'])
    const writer = (await operator.newKey(free, { scopes: ['jobs:write'] })).key
    expect((await explain(picture(), '/v1/jobs', { key: writer })).body.cost).toMatchObject({
      hold: 3000,
      balance: null,
    })
  })

  test('is read by the client, and printed by the command line', async () => {
    const client = createClient({ baseUrl: service.url, key })
    const batch = await client.explainBatch({
      defaults: { preset: 'picture' },
      items: [{ input: { prompt: 'a fox' } }],
    })
    expect(batch).toMatchObject({ jobs: 1, runs: [{ priority: 'batch' }] })
    const env = { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: key }
    const args = ['submit', '--preset', 'picture', '--input', 'prompt=a fox', '--explain']
    const printed = await runGenqueue(args, { env })
    expect(printed).toMatchObject({ exit: 0, stderr: '' })
    expect(printed.stdout).toMatch(/^runs +1 x picture \(interactive\)$/m)
    expect(printed.stdout).toMatch(/^credits +0\.003$/m)
    expect(printed.stdout).toMatch(/^limit +concurrency preset:picture: 0 of 5$/m)
    expect(printed.stdout).toMatch(/^start +next, starts in 0\.0 s to /m)
    const json = await runGenqueue([...args, '--json'], { env })
    expect(JSON.parse(json.stdout)).toMatchObject({ jobs: 1, cost: { hold: 3000, balance: 5000 } })
    expect((await client.list()).data).toEqual([])
  })
})
