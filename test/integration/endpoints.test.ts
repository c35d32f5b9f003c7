import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Webhook } from 'standardwebhooks'
import { ulid } from 'ulid'
import type {
  Endpoint,
  EndpointTest,
  NewEndpoint as AnyNewEndpoint,
  Notification,
  NotificationDetail,
} from '../../src/client/types.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import type { NotificationStore } from '../../src/shared/notifications/ports.ts'
import { startReceiver, withStatus } from '../support/receiver.ts'
import { code, createOperator, type Answer, type Asked, type Operator } from '../support/operator.ts'
import { testRedisUrl } from '../support/redis.ts'
import { startService, type TestService } from '../support/start-service.ts'

/** Of a webhook, which has a secret. */
type NewEndpoint = AnyNewEndpoint & { secret: NonNullable<AnyNewEndpoint['secret']> }

/** Nothing listens there. */
const URL = 'http://127.0.0.1:9/hook'
const SECRET = /^whsec_[A-Za-z0-9+/]{43}=$/

let service: TestService
let operator: Operator
let log: NotificationStore
beforeAll(async () => {
  // Without a worker, which would send what these tests write.
  service = await startService({
    env: { ROLE: 'api', REDIS_URL: testRedisUrl(), REPLICATE_API_TOKEN: 'test', WEBHOOK_ALLOW: 'loopback' },
  })
  operator = createOperator(service)
  const { redis, keys } = service
  log = createRedisNotificationStore({ redis, keys, endpoints: createRedisEndpointStore({ redis, keys }) })
})
afterAll(() => service.stop())

let tenant: string
let key: string
beforeEach(async () => {
  tenant = await operator.newTenant()
  key = (await operator.newKey(tenant, { scopes: ['webhooks'] })).key
})

const ask = <T = Endpoint>(path: string, asked: Asked = {}): Promise<Answer<T>> =>
  operator.ask<T>(`/v1/${path}`, { key, ...asked })
const create = async (request: object = {}): Promise<NewEndpoint> =>
  (await ask<NewEndpoint>('endpoints', { body: { url: URL, ...request } })).body
const post = <T = Endpoint>(path: string, body: unknown = {}): Promise<Answer<T>> => ask<T>(path, { body })

describe('an endpoint', () => {
  test('is created with its secret, which is never shown again, and read, changed and deleted', async () => {
    const made = await ask<NewEndpoint>('endpoints', { body: { url: URL, description: 'orders' } })
    const { secret, ...rest } = made.body
    expect(made).toMatchObject({ status: 201, body: { url: URL, state: 'enabled', presets: null, payload: 'thin' } })
    expect(made.headers.get('location')).toBe(`/v1/endpoints/${rest.id}`)
    expect(secret.key).toMatch(SECRET)
    expect(rest.events).toEqual(expect.arrayContaining(['job.succeeded', 'batch.finished', 'endpoint.disabled']))
    expect(rest.events).not.toContain('job.progress')
    const { key: _key, ...shownSecret } = secret
    const shown = { ...rest, secret: shownSecret }
    expect(await ask(`endpoints/${rest.id}`)).toMatchObject({ status: 200, body: shown })
    expect((await ask(`endpoints/${rest.id}`)).body.secret).toEqual(shownSecret)
    expect((await ask<{ data: Endpoint[] }>('endpoints')).body).toEqual({ data: [shown], next_cursor: null })

    const change = { events: ['job.failed', 'job.failed'], presets: ['story-page'], payload: 'full', description: '' }
    const changed = await ask(`endpoints/${rest.id}`, { method: 'PATCH', body: change })
    expect(changed.body).toEqual({ ...shown, ...change, events: ['job.failed'] })
    expect((await ask(`endpoints/${rest.id}`, { method: 'PATCH', body: { presets: null } })).body).toEqual({
      ...changed.body,
      presets: null,
    })
    expect((await ask(`endpoints/${rest.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await ask(`endpoints/${rest.id}`)).status).toBe(404)
    expect((await ask(`endpoints/${rest.id}`, { method: 'DELETE' })).status).toBe(404)
  })

  test.each([
    ['no URL', {}, '/url', 'invalid_type'],
    ['another scheme', { url: 'ftp://example.com' }, '/url', 'invalid_url'],
    ['credentials', { url: 'https://me:pw@example.com/' }, '/url', 'invalid_url'],
    ['a private address', { url: 'https://10.0.0.7/hook' }, '/url', 'invalid_url'],
    ['the metadata of a cloud', { url: 'http://169.254.169.254/latest' }, '/url', 'invalid_url'],
    ['an unknown type', { url: URL, events: ['job.succeeded', 'job.exploded'] }, '/events/1', 'invalid_value'],
    ['no type', { url: URL, events: [] }, '/events', 'too_small'],
    ['an unknown preset', { url: URL, presets: ['story-page', 'no-such'] }, '/presets/1', 'unknown_preset'],
    ['an unknown payload', { url: URL, payload: 'fat' }, '/payload', 'invalid_value'],
    ['an unknown field', { url: URL, secret: 'mine' }, '/secret', 'unknown_field'],
    ['two lines', { url: URL, description: 'a\nb' }, '/description', 'invalid_format'],
  ])('with %s is refused at its field', async (_name, body, pointer, wrong) => {
    const answer = await ask('endpoints', { body })
    expect(code(answer)).toEqual([422, 'invalid_request'])
    expect(answer.body.errors?.[0]).toMatchObject({ pointer, code: wrong })
    if (Object.keys(body).length === 0) return
    const { id } = await create()
    expect((await ask(`endpoints/${id}`, { method: 'PATCH', body })).body.errors?.[0]).toMatchObject({
      pointer,
      code: wrong,
    })
  })

  test('gets another secret, with a grace for the one before', async () => {
    const { id, secret } = await create()
    const rotated = await post<NewEndpoint>(`endpoints/${id}/rotate`, { grace: 60 })
    expect(rotated.status).toBe(200)
    expect(rotated.body.secret.key).toMatch(SECRET)
    expect(rotated.body.secret.key).not.toBe(secret.key)
    expect(rotated.body.secret.previous).toHaveLength(1)
    expect((await post<NewEndpoint>(`endpoints/${id}/rotate`, { grace: 0 })).body.secret.previous).toEqual([])
  })

  test('is disabled and enabled, which holds and sends its notifications', async () => {
    const { id } = await create()
    await add({ endpoint: id, state: 'held' })
    const disabled = await post(`endpoints/${id}/disable`)
    expect(disabled.body).toMatchObject({ state: 'disabled', disabled: { reason: 'owner' } })
    expect((await post(`endpoints/${id}/disable`)).body.disabled).toEqual(disabled.body.disabled)
    expect(code(await post(`endpoints/${id}/replay`))).toEqual([409, 'endpoint_disabled'])
    const enabled = await post<{ resumed: number }>(`endpoints/${id}/enable`)
    expect(enabled.body).toMatchObject({ state: 'enabled', disabled: null, resumed: 1 })
    expect((await post<{ resumed: number }>(`endpoints/${id}/enable`)).body.resumed).toBe(0)
  })

  test('is tested at once, which says what it answered and what to do, and records nothing', async () => {
    const receiver = await startReceiver()
    const { id, secret } = await create({ url: receiver.url })
    const test = async (): Promise<EndpointTest> => (await post<EndpointTest>(`endpoints/${id}/test`)).body
    const accepted = await test()
    expect(accepted).toMatchObject({ delivered: true, attempt: { status: 204, error: null, advice: null } })
    const [sent] = receiver.received
    expect(sent && new Webhook(secret.key).verify(sent.body, sent.headers)).toEqual(accepted.body)
    expect(accepted.body).toMatchObject({ type: 'endpoint.test', data: { endpoint: { id } } })

    receiver.answer(withStatus(404, {}, 'no such page'))
    const refused = await test()
    expect(refused).toMatchObject({ delivered: false, attempt: { status: 404, detail: 'no such page' } })
    expect(refused.attempt.advice).toContain('path')
    // Also to a disabled one: to find out whether it works again.
    await post(`endpoints/${id}/disable`)
    expect((await test()).attempt.status).toBe(404)
    expect((await ask<{ data: Notification[] }>('notifications')).body.data).toEqual([])
    expect((await ask(`endpoints/${id}`)).body.health).toMatchObject({ failures: 0, succeeded_at: null })
  })

  test('for mail is refused where no mail server is set up', async () => {
    expect(code(await ask('endpoints', { body: { url: 'mailto:ada@example.org' } }))).toEqual([
      409,
      'mail_not_configured',
    ])
  })

  test('there are at most fifty', async () => {
    for (let made = 0; made < 50; made += 10) await Promise.all(Array.from({ length: 10 }, () => create()))
    expect(code(await ask('endpoints', { body: { url: URL } }))).toEqual([409, 'too_many_endpoints'])
  })
})

let number = 0
/** A notification as the delivery side writes it. */
async function add({
  endpoint = null,
  state = 'pending',
  job = null,
  at = Date.now(),
}: {
  endpoint?: string | null
  state?: 'pending' | 'held' | 'failed'
  job?: string | null
  at?: number
}): Promise<string> {
  const id = `ntf_${ulid(at + number++)}_${(endpoint ?? 'own').replace('ep_', '')}`
  await log.add({
    id,
    tenant,
    type: 'job.succeeded',
    endpoint,
    destination: endpoint ?? `${tenant}:none`,
    url: endpoint === null ? URL : null,
    shape: 'thin',
    job,
    batch: null,
    data: { job: { id: job } },
    created_at: at,
    state: state === 'held' ? 'held' : 'pending',
  })
  if (state !== 'failed') return id
  const found = await log.read(tenant, id)
  if (found === null) throw new Error('the notification is not there')
  const attempt = { at: Date.now(), duration: 12, status: 404, error: null, detail: 'not here' }
  await log.record(found, attempt, { state: 'failed', next: null, destination: null, pause: null })
  return id
}

const list = async (query = ''): Promise<string[]> =>
  (await ask<{ data: Notification[] }>(`notifications${query}`)).body.data.map(({ id }) => id)

describe('a notification', () => {
  test('is listed by endpoint, job, state and time, in pages, newest first', async () => {
    const { id: endpoint } = await create()
    const job = `job_${ulid()}`
    const long = Date.now() - 3_600_000
    const old = await add({ at: long })
    const [own, failed, of] = [await add({}), await add({ endpoint, state: 'failed' }), await add({ endpoint, job })]
    expect(await list()).toEqual([of, failed, own, old])
    expect(await list(`?endpoint=${endpoint}`)).toEqual([of, failed])
    expect(await list(`?job=${job}`)).toEqual([of])
    expect(await list('?state=failed')).toEqual([failed])
    const time = encodeURIComponent(new Date(long).toISOString())
    expect(await list(`?created_after=${time}`)).toEqual([of, failed, own, old])
    expect(await list(`?created_after=${encodeURIComponent(new Date(long + 1).toISOString())}`)).toHaveLength(3)
    expect(await list(`?created_before=${time}`)).toEqual([])
    const first = await ask<{ data: Notification[]; next_cursor: string }>('notifications?limit=3')
    expect(first.body.next_cursor).toBe(own)
    expect(await list(`?cursor=${first.body.next_cursor}`)).toEqual([old])
    expect(code(await ask('notifications?state=lost'))).toEqual([422, 'invalid_request'])
  })

  test('is shown with its attempts, what to do, and its body', async () => {
    const { id: endpoint } = await create()
    const id = await add({ endpoint, state: 'failed', job: `job_${ulid()}` })
    const { body } = await ask<NotificationDetail>(`notifications/${id}`)
    expect(body).toMatchObject({
      id,
      type: 'job.succeeded',
      endpoint,
      state: 'failed',
      next_attempt_at: null,
      attempts: [{ status: 404, error: null, detail: 'not here', duration: 0.012 }],
      body: { type: 'job.succeeded', timestamp: body.created_at, data: { job: { id: body.job } } },
    })
    expect(body.attempts[0]?.advice).toContain('path')
  })

  test('is sent again alone, with all that failed of a range, or with what its endpoint missed', async () => {
    const { id: endpoint } = await create()
    const ids = [await add({ endpoint, state: 'failed' }), await add({ state: 'failed' })]
    const old = await add({ state: 'failed', at: Date.now() - 3_600_000 })
    const again = await post<Notification>(`notifications/${ids[0]}/redeliver`)
    expect(again).toMatchObject({ status: 202, body: { id: ids[0], state: 'pending' } })
    const after = { created_after: new Date(Date.now() - 60_000).toISOString() }
    const all = { redelivered: 1, more: false }
    expect((await post('notifications/redeliver', after)).body).toEqual(all)
    expect((await post('notifications/redeliver', after)).body).toEqual({ redelivered: 0, more: false })
    expect(await list('?state=failed')).toEqual([old])
    expect((await post('notifications/redeliver', { endpoint })).body).toMatchObject({ redelivered: 0 })
    await add({ endpoint, state: 'failed' })
    expect((await post(`endpoints/${endpoint}/replay`, { created_before: after.created_after })).body).toMatchObject({
      redelivered: 0,
    })
    expect((await post(`endpoints/${endpoint}/replay`)).body).toEqual(all)
  })

  test('of a disabled or deleted endpoint is not sent again', async () => {
    const { id: endpoint } = await create()
    const id = await add({ endpoint })
    await post(`endpoints/${endpoint}/disable`)
    expect((await ask<Notification>(`notifications/${id}`)).body.state).toBe('held')
    expect(code(await post(`notifications/${id}/redeliver`))).toEqual([409, 'endpoint_disabled'])
    await ask(`endpoints/${endpoint}`, { method: 'DELETE' })
    expect((await ask<Notification>(`notifications/${id}`)).body.state).toBe('failed')
    expect(code(await post(`notifications/${id}/redeliver`))).toEqual([409, 'endpoint_disabled'])
    expect((await post('notifications/redeliver')).body).toEqual({ redelivered: 0, more: false })
  })
})

describe('another tenant, and a key without the scope,', () => {
  test('see nothing', async () => {
    const { id } = await create()
    const notification = await add({ endpoint: id, state: 'failed' })
    const stranger = (await operator.newKey(await operator.newTenant(), { scopes: ['webhooks'] })).key
    const usual = (await operator.newKey(tenant)).key
    const routes: [string, string, unknown?][] = [
      ['GET', `endpoints/${id}`],
      ['PATCH', `endpoints/${id}`, {}],
      ['DELETE', `endpoints/${id}`],
      ...['rotate', 'enable', 'disable', 'test', 'replay'].map((name): [string, string, unknown] => [
        'POST',
        `endpoints/${id}/${name}`,
        {},
      ]),
      ['GET', `notifications/${notification}`],
      ['POST', `notifications/${notification}/redeliver`, {}],
    ]
    for (const [method, path, body] of routes) {
      expect([path, ...code(await ask(path, { key: stranger, method, body }))]).toEqual([path, 404, 'not_found'])
      expect([path, ...code(await ask(path, { key: usual, method, body }))]).toEqual([path, 403, 'forbidden'])
    }
    expect((await ask<{ data: [] }>('endpoints', { key: stranger })).body.data).toEqual([])
    expect((await ask<{ data: [] }>('notifications', { key: stranger })).body.data).toEqual([])
    expect((await ask('notifications/redeliver', { key: stranger, body: {} })).body).toEqual({
      redelivered: 0,
      more: false,
    })
    for (const path of ['endpoints', 'notifications']) expect((await ask(path, { key: usual })).status).toBe(403)
    expect(await ask(`notifications/${notification}`)).toMatchObject({ status: 200, body: { state: 'failed' } })
  })

  test('an unknown id and one of another form get the same 404', async () => {
    for (const id of [`ep_${ulid()}`, 'ep_1', 'x'.repeat(300)]) {
      expect(code(await ask(`endpoints/${id}`))).toEqual([404, 'not_found'])
      expect(code(await ask(`notifications/${id}`))).toEqual([404, 'not_found'])
    }
  })
})
