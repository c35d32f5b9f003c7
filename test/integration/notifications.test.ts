import { ulid } from 'ulid'
import Replicate, { validateWebhook } from 'replicate'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import type { NotificationStore } from '../../src/shared/notifications/ports.ts'
import type { Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import type { EventType } from '../../src/shared/notifications/rules/event-types.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'
import { startReceiver, withStatus } from '../support/receiver.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { waitFor } from '../support/wait-for.ts'

/** From the commit of a job to the webhook at its receiver, through the whole service. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const ENDS: EventType[] = ['job.succeeded', 'job.failed', 'job.canceled']

let service: TestService
let store: NotificationStore
beforeAll(async () => {
  service = await startService({ timings: { ...SHORT_TIMINGS }, simulator: { speed: 100 } })
  store = createRedisNotificationStore({ ...service, endpoints: createRedisEndpointStore(service) })
})
afterAll(() => service.stop())

async function addEndpoint(
  to: string,
  changes: Partial<Endpoint> = {},
  at: TestService = service,
): Promise<Endpoint & { secret: string }> {
  const secret = makeSecret()
  const endpoint: Endpoint = {
    v: 1,
    id: `ep_${ulid()}`,
    tenant: 'default',
    kind: 'webhook',
    to,
    description: '',
    events: ENDS,
    presets: null,
    payload: 'thin',
    secrets: { current: { key: secret, created_at: 0 }, previous: [] },
    confirmed_at: null,
    created_at: 0,
    disabled: null,
    ...changes,
  }
  await createRedisEndpointStore(at).create(endpoint, 50)
  return { ...endpoint, secret }
}

interface Payload {
  type: string
  timestamp: string
  data: Record<string, Record<string, unknown>>
}
const parse = (text: string): Payload => JSON.parse(text)

test('the end of a job reaches each endpoint that hears of it, thin or with the whole job', async () => {
  const [thin, full, other] = [await startReceiver(), await startReceiver(), await startReceiver()]
  const thinEndpoint = await addEndpoint(thin.url)
  await addEndpoint(full.url, { payload: 'full' })
  await addEndpoint(other.url, { presets: ['another-preset'] })
  const job = await service.client.submit({ version: HELLO, input: { text: 'Ada' }, metadata: { order: 7 } })
  const [request] = await thin.count(1)
  if (!request) throw new Error('a webhook came')
  expect(new Webhook(thinEndpoint.secret).verify(request.body, request.headers)).toEqual({
    type: 'job.succeeded',
    timestamp: expect.any(String),
    data: {
      job: {
        id: job.id,
        status: 'succeeded',
        rev: expect.any(Number),
        batch: null,
        metadata: { order: 7 },
        error: null,
      },
    },
  })
  const [whole] = await full.count(1)
  const end = parse(whole?.body ?? '').data['job']
  const shown = await service.client.get(job.id)
  expect(end).toMatchObject({ id: job.id, status: 'succeeded', output: shown.output, input: { text: 'Ada' } })
  expect(end?.['rev']).toBe(parse(request.body).data['job']?.['rev'])
  const { notifications } = await store.list('default', { job: job.id, limit: 10 })
  expect(notifications.map(({ type }) => type).sort()).toEqual(['job.succeeded', 'job.succeeded'])
  await waitFor('all to be over', async () => (await store.figures()).pending === 0)
  expect(other.received).toEqual([])
  // Nothing of it is left in the outbox of the job.
  expect(await service.redis.exists(service.keys.outbox(job.id))).toBe(0)
})

test('a failed attempt is repeated by the schedule, without anything that rings', async () => {
  const receiver = await startReceiver(withStatus(500))
  await addEndpoint(receiver.url)
  await service.client.submit({ version: HELLO, input: { text: 'Bob' } })
  await receiver.count(2)
  receiver.answer(withStatus(204))
  await waitFor('the delivery', async () => (await store.figures()).pending === 0)
  expect(new Set(receiver.ids()).size).toBe(1)
  expect(receiver.received.length).toBeGreaterThanOrEqual(3)
})

test('what carries a job keeps its payload until it is over', async () => {
  const receiver = await startReceiver(withStatus(500))
  const { id } = await addEndpoint(receiver.url, { payload: 'full' })
  const job = await service.client.submit({ version: HELLO, input: { text: 'Cleo' } })
  await receiver.count(1)
  const carried = async (): Promise<number> =>
    (await service.redis.hkeys(service.keys.outbox(job.id))).filter(
      (key) => key.startsWith('carry:') && key.endsWith(id.slice(3)),
    ).length
  expect(await carried()).toBe(1)
  receiver.answer(withStatus(204))
  await waitFor('its end', async () => (await carried()) === 0)
  expect(await store.health(id)).toMatchObject({ failures: 0 })
})

test('a completed batch is one event', async () => {
  const receiver = await startReceiver()
  await addEndpoint(receiver.url, { events: ['batch.finished'] })
  const response = await fetch(`${service.url}/v1/batches`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      defaults: { version: HELLO },
      metadata: { run: 1 },
      items: [1, 2].map((n) => ({ input: { text: `${n}` } })),
    }),
  })
  const text = await response.text()
  expect(response.status, text).toBe(202)
  const batch: { id: string } = JSON.parse(text)
  const [request] = await receiver.count(1)
  expect(parse(request?.body ?? '')).toMatchObject({
    type: 'batch.finished',
    data: { batch: { id: batch.id, status: 'succeeded', counts: { total: 2, succeeded: 2 }, metadata: { run: 1 } } },
  })
})

test('the own webhook of a job is signed by the secret of its tenant', async () => {
  const receiver = await startReceiver()
  const job = await service.client.submit({ version: HELLO, input: { text: 'Dan' }, webhook: { url: receiver.url } })
  const [request] = await receiver.count(1)
  const headers = { authorization: `Bearer ${TEST_KEY}` }
  const answer = await fetch(`${service.url}/v1/webhook-secret`, { headers })
  const secret: { key: string } = JSON.parse(await answer.text())
  const payload = new Webhook(secret.key).verify(request?.body ?? '', request?.headers ?? {})
  expect(payload).toMatchObject({ type: 'job.succeeded', data: { job: { id: job.id } } })
})

test('a job token shows no address of a webhook, but what its job itself names like it', async () => {
  const receiver = await startReceiver()
  const webhook = { url: `${receiver.url}?secret=1` }
  const metadata = { webhook: 'kept' }
  const { id } = await service.client.submit({ version: HELLO, input: { text: 'Eve' }, webhook, metadata })
  await receiver.count(1)
  const { token } = await service.client.jobToken(id)
  const read = async (path: string, secret: string): Promise<string> => {
    const answer = await fetch(`${service.url}/v1/jobs/${id}${path}`, {
      headers: { authorization: `Bearer ${secret}` },
    })
    expect(answer.status).toBe(200)
    return answer.text()
  }
  expect(JSON.parse(await read('', TEST_KEY))).toMatchObject({ webhook, metadata })
  expect(JSON.parse(await read('', token))).toMatchObject({ webhook: null, metadata })
  // Both streams end with the job, which is final.
  for (const stream of ['/events', '/output']) {
    expect(await read(stream, TEST_KEY)).toContain('secret=1')
    const shown = await read(stream, token)
    expect(shown).toContain(id)
    expect(shown).not.toContain('secret=1')
  }
})

test('a prediction of the API of Replicate is sent as Replicate sends it, and its client accepts the signature', async () => {
  const receiver = await startReceiver()
  const replicate = new Replicate({ auth: TEST_KEY, baseUrl: `${service.url}/replicate/v1` })
  const { id } = await replicate.predictions.create({
    version: HELLO,
    input: { text: 'Eve' },
    webhook: receiver.url,
    webhook_events_filter: ['completed'],
  })
  const [request] = await receiver.count(1)
  if (!request) throw new Error('a webhook came')
  const secret = (await replicate.webhooks.default.secret.get()).key
  const { headers, body } = request
  const asked = new Request('http://receiver.example/hook', { method: 'POST', headers, body })
  expect(await validateWebhook(asked, secret)).toBe(true)
  const found = await replicate.predictions.get(id)
  expect(JSON.parse(body)).toEqual({ ...found, urls: expect.any(Object) })
  expect(found.status).toBe('succeeded')
})

test('progress is sent while a text grows, to those that asked, and is not in the log', async () => {
  const receiver = await startReceiver()
  const slow = await startService({ timings: { ...SHORT_TIMINGS }, simulator: { speed: 8 } })
  try {
    const endpoint = await addEndpoint(receiver.url, { events: ['job.progress'] }, slow)
    const job = await slow.client.submit({ model: 'google/gemini-3-pro', input: { prompt: 'Tell me of a boat.' } })
    const [first] = await receiver.count(1)
    const progress = parse(first?.body ?? '')
    expect(progress).toMatchObject({ type: 'job.progress', data: { job: { id: job.id, status: 'processing' } } })
    new Webhook(endpoint.secret).verify(first?.body ?? '', first?.headers ?? {})
    const slowStore = createRedisNotificationStore({ ...slow, endpoints: createRedisEndpointStore(slow) })
    await waitFor('the count', async () => (await slowStore.figures()).lossy.sent > 0)
    expect((await slowStore.list('default', { limit: 1 })).notifications).toEqual([])
  } finally {
    await slow.stop()
  }
})

test('the metrics count what is sent and what waits', async () => {
  await waitFor('all to be over', async () => (await store.figures()).pending === 0)
  const response = await fetch(`${service.url}/metrics`, { headers: { authorization: `Bearer ${TEST_KEY}` } })
  const text = await response.text()
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
  expect(value('genqueue_notification_attempts_total\\{outcome="delivered"\\}')).toBeGreaterThanOrEqual(5)
  expect(value('genqueue_notification_attempts_total\\{outcome="retried"\\}')).toBeGreaterThanOrEqual(2)
  expect(value('genqueue_notifications\\{state="pending"\\}')).toBe(0)
  expect(text).toMatch(/^genqueue_notification_first_attempts_total\{within="1"\} \d+$/m)
})
