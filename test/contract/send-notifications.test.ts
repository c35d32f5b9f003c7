import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:https'
import { Redis } from 'ioredis'
import { validateWebhook } from 'replicate'
import { Webhook } from 'standardwebhooks'
import { Webhook as Svix } from 'svix'
import { ulid } from 'ulid'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createJobKeys, type JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { NewerRecordError } from '../../src/shared/jobs/record/record-codec.ts'
import { createHttpTransport, type HttpTransportOptions } from '../../src/shared/notifications/http-transport.ts'
import type { EndpointStore, NewNotification, NotificationStore } from '../../src/shared/notifications/ports.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import type { Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import type { TenantNotice } from '../../src/shared/notifications/rules/notice.ts'
import type { Notification } from '../../src/shared/notifications/rules/notification.ts'
import { WAITS } from '../../src/shared/notifications/rules/retry.ts'
import { readWebhookAllow } from '../../src/shared/notifications/rules/webhook-url.ts'
import type { Message, Transport } from '../../src/shared/notifications/transport-port.ts'
import { createLogger, type Logger } from '../../src/shared/process/logger.ts'
import { createRedisSigningSecrets } from '../../src/shared/tenants/redis-signing-secrets.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { DeadlineError } from '../../src/shared/values/deadline.ts'
import { makeCertificate } from '../../src/simulator/certificate.ts'
import { createSender, type Sender } from '../../src/workers/send-notifications.ts'
import { freePort } from '../support/free-port.ts'
import { hang, startReceiver, withStatus, type Received } from '../support/receiver.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

const redis = new Redis(testRedisUrl())
const silent = createLogger({ level: 'silent', readable: false })
afterAll(() => redis.disconnect())

const TENANT = 'acme'
const HOUR = 3_600_000
const ALLOW = readWebhookAllow('loopback,nowhere.invalid,moves.example')
if (!ALLOW) throw new Error('a valid list')

let keys: JobKeys
let endpoints: EndpointStore
let store: NotificationStore
let notices: TenantNotice[]
const running: (() => Promise<void>)[] = []
beforeEach(() => {
  keys = createJobKeys(freshPrefix())
  endpoints = createRedisEndpointStore({ redis, keys })
  store = createRedisNotificationStore({ redis, keys, endpoints })
  notices = []
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((stop) => stop()))
})

const signingSecrets = () => createRedisSigningSecrets(redis, createTenantKeys(keys.tag))
const body = ({ type, created_at, data }: Pick<Message['notification'], 'type' | 'created_at' | 'data'>): string =>
  JSON.stringify({ type, timestamp: new Date(created_at).toISOString(), data })

interface SenderOptions {
  transport?: Partial<HttpTransportOptions>
  transports?: readonly Transport[]
  lease?: number
  log?: Logger
  /** Over another connection. */
  over?: NotificationStore
  stopWithin?: number
  bodyOf?: (notification: Message['notification']) => Promise<string>
  /** While a notice is owed. */
  meanwhile?: () => Promise<unknown>
}
/** A worker process. A long lease and schedule: a test makes due what it waits for. */
function sender({
  transport = {},
  transports,
  lease = HOUR,
  log = silent,
  meanwhile,
  bodyOf = async (notification) => body(notification),
  over = store,
  stopWithin,
}: SenderOptions = {}): Sender {
  const http = createHttpTransport({
    allow: ALLOW ?? { hosts: [], ranges: [] },
    version: '1.2.3',
    timeout: HOUR,
    connectTimeout: HOUR,
    ...transport,
  })
  const started = createSender({
    store: over,
    endpoints,
    notices: {
      async owe(_tenant, notice) {
        notices.push(notice)
        await meanwhile?.()
        return true
      },
    },
    secrets: signingSecrets(),
    transports: transports ?? [http],
    bodyOf,
    timings: { notifyLease: lease, notifyFirstRetry: HOUR },
    log,
    random: () => 0,
    ...(stopWithin === undefined ? {} : { stopWithin }),
  })
  running.push(async () => {
    await http.close()
    await started.stop()
  })
  return started
}

async function addEndpoint(to: string, changes: Partial<Endpoint> = {}): Promise<Endpoint> {
  const endpoint: Endpoint = {
    v: 1,
    id: `ep_${ulid()}`,
    tenant: TENANT,
    kind: 'webhook',
    to,
    description: '',
    events: ['job.succeeded'],
    presets: null,
    payload: 'thin',
    secrets: { current: { key: makeSecret(), created_at: 0 }, previous: [] },
    confirmed_at: null,
    created_at: 0,
    disabled: null,
    ...changes,
  }
  await endpoints.create(endpoint, 1000)
  return endpoint
}

const DATA = { job: { id: 'job_1', status: 'succeeded' } }
const basic = (name: string): Omit<NewNotification, 'endpoint' | 'destination' | 'url' | 'tenant'> => ({
  id: `ntf_${ulid()}_${name}`,
  type: 'job.succeeded',
  shape: 'thin',
  job: null,
  batch: null,
  data: DATA,
  created_at: Date.now(),
  state: 'pending',
})
async function addFor({ id, tenant }: Endpoint, changes: Partial<NewNotification> = {}): Promise<string> {
  const added = { ...basic(id.slice(3)), tenant, endpoint: id, destination: id, url: null, ...changes }
  await store.add(added)
  return added.id
}
async function addOwn(url: string, tenant = TENANT): Promise<string> {
  const added = { ...basic('own'), tenant, endpoint: null, destination: `${tenant} ${new URL(url).origin}`, url }
  await store.add(added)
  return added.id
}

const read = (id: string) => store.read(TENANT, id)
const settled = (id: string): Promise<Notification> =>
  waitFor(`an attempt of ${id}`, async () => {
    const found = await read(id)
    return found !== null && found.attempts.length > 0 && found
  })
const inState = (id: string, state: string): Promise<Notification> =>
  waitFor(`${id} ${state}`, async () => {
    const found = await read(id)
    return found?.state === state && found
  })
async function makeDue(destination: string): Promise<void> {
  const waiting = keys.waitingNotifications(destination)
  await redis.hdel(keys.destination(destination), 'paused_until')
  await redis.zunionstore(waiting, 1, waiting, 'WEIGHTS', 0)
  await redis.zadd(keys.destinations, '0', destination)
}

describe('a webhook', () => {
  test('is signed as Standard Webhooks demands, by an endpoint with both of its secrets', async () => {
    const receiver = await startReceiver()
    const [current, previous] = [makeSecret(), makeSecret()]
    const endpoint = await addEndpoint(receiver.url, {
      secrets: {
        current: { key: current, created_at: 2 },
        previous: [{ key: previous, created_at: 1, expires_at: Date.now() + HOUR }],
      },
    })
    const id = await addFor(endpoint)
    sender().wake()
    const [request] = await receiver.count(1)
    if (!request) throw new Error('a request came')
    for (const secret of [current, previous]) {
      const payload = { type: 'job.succeeded', timestamp: expect.any(String), data: DATA }
      expect(new Webhook(secret).verify(request.body, request.headers)).toEqual(payload)
      expect(new Svix(secret).verify(request.body, request.headers)).toEqual(payload)
    }
    expect(() => new Webhook(makeSecret()).verify(request.body, request.headers)).toThrow()
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'genqueue/1.2.3',
      'accept-encoding': 'identity',
      'webhook-id': id,
      host: `127.0.0.1:${receiver.port}`,
    })
    expect(await inState(id, 'delivered')).toMatchObject({ attempts: [{ status: 204, error: null }], next_at: null })
  })

  test('of a job itself is signed with the default secret, which the client of Replicate accepts', async () => {
    const receiver = await startReceiver()
    const secrets = await signingSecrets().read(TENANT)
    await addOwn(receiver.url)
    sender().wake()
    const [request] = await receiver.count(1)
    if (!request) throw new Error('a request came')
    const { body: text, headers } = request
    const header = (name: string): string => headers[`webhook-${name}`] ?? ''
    const given = { id: header('id'), timestamp: header('timestamp'), body: text }
    const signature = header('signature')
    expect(await validateWebhook({ ...given, signature, secret: secrets.current.key })).toBe(true)
    expect(await validateWebhook({ ...given, signature, secret: makeSecret() })).toBe(false)
  })

  test('keeps its id at each attempt, with the time of the attempt', async () => {
    const receiver = await startReceiver(withStatus(500))
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    const started = sender()
    started.wake()
    await settled(id)
    receiver.answer(withStatus(200, {}, 'thank you\u001b[2J'))
    await makeDue(endpoint.id)
    started.wake()
    const found = await inState(id, 'delivered')
    expect(receiver.ids()).toEqual([id, id])
    expect(found.attempts).toMatchObject([
      { status: 500, detail: '' },
      { status: 200, detail: 'thank you [2J' },
    ])
    const bodies = new Set(receiver.received.map((one: Received) => one.body))
    expect(bodies.size).toBe(1)
  })

  test('is sent again when the process that sent it is gone', async () => {
    const receiver = await startReceiver(hang)
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    const died = sender({ lease: 1 })
    died.wake()
    await receiver.count(1)
    // Its result is never recorded.
    receiver.answer(withStatus(204))
    const other = sender()
    await waitFor('a second request', () => {
      other.wake()
      return receiver.received.length > 1
    })
    await inState(id, 'delivered')
    expect(new Set(receiver.ids())).toEqual(new Set([id]))
  })
})

/** An https server whose certificate nobody trusts. */
async function untrusted(): Promise<string> {
  const { key, cert } = await makeCertificate('localhost')
  const server = createTlsServer({ key, cert }, (_request, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `https://localhost:${(server.address() as AddressInfo).port}/`
}
/** A server that does not speak HTTP. */
async function speaking(text: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(text))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.push(async () => {
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe('a receiver that', () => {
  test.for<[name: string, status: number, headers: Record<string, string>, error: string | null, detail: RegExp]>([
    ['fails', 500, {}, null, /^oops$/],
    ['does not know the path', 404, {}, null, /^oops$/],
    ['refuses the size', 413, {}, null, /^oops$/],
    [
      'moved',
      301,
      { location: 'https://elsewhere.example/x' },
      'redirect',
      /to https:\/\/elsewhere\.example\/x, which is not followed/,
    ],
    ['moved without a target', 308, {}, 'redirect', /^Redirected, which is not followed. oops$/],
  ])('%s has failed, and gets it again', async ([, status, headers, error, detail]) => {
    const receiver = await startReceiver(withStatus(status, headers, 'oops'))
    const id = await addFor(await addEndpoint(receiver.url))
    sender().wake()
    const found = await settled(id)
    expect(found).toMatchObject({ state: 'pending', tries: 1, attempts: [{ status, error }] })
    expect(found.attempts[0]?.detail).toMatch(detail)
    expect(receiver.received).toHaveLength(1)
    expect(Number(found.next_at) - Date.now()).toBeGreaterThan(HOUR / 2)
  })

  test.for<[name: string, url: () => Promise<string>, error: string]>([
    ['is down', async () => `http://127.0.0.1:${await freePort()}/`, 'refused'],
    ['has no address', async () => 'http://nowhere.invalid/', 'dns'],
    ['has a certificate that nobody trusts', untrusted, 'tls'],
    ['speaks no TLS', async () => (await startReceiver()).url.replace('http:', 'https:'), 'tls'],
    ['speaks no HTTP', () => speaking('220 mail ready\r\n'), 'bad_response'],
    ['sends headers without an end', () => speaking(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`), 'bad_response'],
    ['closes the connection', async () => (await startReceiver((response) => response.destroy())).url, 'reset'],
  ])('%s gets it again', async ([, url, error]) => {
    const id = await addFor(await addEndpoint(await url()))
    sender().wake()
    const found = await settled(id)
    expect(found).toMatchObject({ state: 'pending', attempts: [{ status: null, error }] })
    expect(found.attempts[0]?.detail).not.toBe('')
  })

  test('is silent has failed after the timeout', async () => {
    const receiver = await startReceiver(hang)
    const id = await addFor(await addEndpoint(receiver.url))
    sender({ transport: { timeout: 50 } }).wake()
    expect(await settled(id)).toMatchObject({ state: 'pending', attempts: [{ status: null, error: 'timeout' }] })
  })

  test('answers without an end has it, and is read to 64 kB', async () => {
    let ended = false
    const receiver = await startReceiver((response) => {
      response.on('close', () => (ended = true))
      response.writeHead(200)
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    const id = await addFor(await addEndpoint(receiver.url))
    sender().wake()
    const found = await inState(id, 'delivered')
    expect(found.attempts[0]?.detail).toBe('x'.repeat(1024))
    await waitFor('the end of the connection', () => ended)
  })

  test('asks for a later time gets it then, and nothing else before', async () => {
    const receiver = await startReceiver(withStatus(503, { 'retry-after': String((1.5 * HOUR) / 1000) }))
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    sender().wake()
    const found = await settled(id)
    const [wait] = [Number(found.next_at) - (found.attempts[0]?.at ?? 0)]
    // The planned 5 s count as an hour here: twice of it is the most.
    expect(wait).toBeGreaterThanOrEqual(2 * HOUR)
    expect((await store.health(endpoint.id)).paused_until).toBeGreaterThan(Date.now() + HOUR)
  })

  test('is gone is disabled, and has what it missed when it is enabled', async () => {
    const receiver = await startReceiver(withStatus(410))
    const endpoint = await addEndpoint(receiver.url)
    const ids = [await addFor(endpoint), await addFor(endpoint)]
    const started = sender()
    started.wake()
    for (const id of ids) await inState(id, 'held')
    expect(receiver.received).toHaveLength(1)
    const disabled = (await endpoints.read(TENANT, endpoint.id))?.disabled
    expect(disabled).toEqual({ at: expect.any(Number), reason: 'gone' })
    expect(notices).toEqual([
      {
        v: 1,
        id: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
        type: 'endpoint.disabled',
        endpoint: endpoint.id,
        reason: 'gone',
        detail: 'It responded with 410 Gone.',
      },
    ])
    // Taken when it was disabled already: held as well, and owed under the same id.
    const late = await addFor(endpoint)
    started.wake()
    await inState(late, 'held')
    expect(new Set(notices.map(({ id }) => id)).size).toBe(1)

    receiver.answer(withStatus(204))
    await endpoints.change(TENANT, endpoint.id, (one) => ({ ...one, disabled: null }))
    expect(await store.resume(TENANT, endpoint.id)).toBe(3)
    started.wake()
    for (const id of [...ids, late]) await inState(id, 'delivered')
    expect(new Set(receiver.ids())).toEqual(new Set([...ids, late]))
  })

  test('failed for five days is disabled', async () => {
    const receiver = await startReceiver(withStatus(500))
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    await redis.hset(
      keys.destination(endpoint.id),
      'failing_since',
      String(Date.now() - 5 * 24 * HOUR),
      'failures',
      '1',
    )
    sender().wake()
    expect(await inState(id, 'held')).toMatchObject({ attempts: [{ status: 500 }] })
    expect((await endpoints.read(TENANT, endpoint.id))?.disabled?.reason).toBe('failing')
    expect(notices).toMatchObject([{ type: 'endpoint.disabled', reason: 'failing' }])
  })

  test('is the own one of a job, and is gone, ends that notification only', async () => {
    const receiver = await startReceiver(withStatus(410))
    const [first, second] = [await addOwn(receiver.url), await addOwn(receiver.url)]
    sender().wake()
    expect(await inState(first, 'failed')).toMatchObject({ attempts: [{ status: 410 }] })
    await inState(second, 'failed')
    expect(notices).toEqual([])
  })

  test('is the own one of jobs, and failed for five days, is given up', async () => {
    const receiver = await startReceiver(withStatus(500))
    const ids = [await addOwn(receiver.url), await addOwn(receiver.url)]
    const destination = `${TENANT} ${new URL(receiver.url).origin}`
    await redis.hset(keys.destination(destination), 'failing_since', String(Date.now() - 5 * 24 * HOUR))
    sender().wake()
    for (const id of ids) await inState(id, 'failed')
    expect(receiver.received).toHaveLength(1)
    // The next one is not given up after its first attempt.
    expect(await store.health(destination)).toMatchObject({ failures: 0, failing_since: null, paused_until: null })
  })

  test('was removed gets nothing', async () => {
    const receiver = await startReceiver()
    const endpoint = await addEndpoint(receiver.url)
    await endpoints.remove(TENANT, endpoint.id)
    const id = await addFor(endpoint)
    sender().wake()
    expect(await inState(id, 'failed')).toMatchObject({ attempts: [{ error: 'endpoint_removed' }] })
    expect(receiver.received).toEqual([])
  })

  test('was removed while it was disabled holds nothing', async () => {
    const receiver = await startReceiver(withStatus(410))
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    sender({ meanwhile: () => endpoints.remove(TENANT, endpoint.id) }).wake()
    expect((await inState(id, 'failed')).attempts).toMatchObject([{ status: 410 }, { error: 'endpoint_removed' }])
    expect((await store.figures()).disabled).toBe(0)
  })
})

describe('an address', () => {
  test.for([
    'http://10.1.2.3/',
    'https://[::ffff:10.0.0.1]/',
    'http://169.254.169.254/latest',
    'http://public.example/',
  ])('that is not allowed ends it: %s', async (url) => {
    const id = await addFor(await addEndpoint(url))
    sender().wake()
    expect(await inState(id, 'failed')).toMatchObject({
      tries: 1,
      attempts: [{ status: null, error: 'forbidden_address' }],
    })
  })

  test('is checked at each connection: a name that leads inside later is not followed there', async () => {
    const receiver = await startReceiver()
    let answers = ['127.0.0.1']
    const asked: string[] = []
    const lookup = (name: string): Promise<string[]> => {
      asked.push(name)
      return Promise.resolve(answers)
    }
    const allow = { hosts: [], ranges: ALLOW.ranges }
    const outside = { allow: { ...allow, hosts: ['moves.example'] }, lookup }
    const endpoint = await addEndpoint(`http://moves.example:${receiver.port}/`)
    const first = await addFor(endpoint)
    const before = sender({ transport: outside })
    before.wake()
    await inState(first, 'delivered')
    // The connection was to the checked address, with the name as Host.
    expect(receiver.received[0]?.headers.host).toBe(`moves.example:${receiver.port}`)
    for (const one of [['169.254.169.254'], ['127.0.0.1', '169.254.169.254'], ['::ffff:169.254.169.254']]) {
      answers = one
      const id = await addFor(endpoint)
      const later = sender({ transport: outside })
      later.wake()
      await makeDue(endpoint.id)
      later.wake()
      expect(await inState(id, 'failed')).toMatchObject({ attempts: [{ error: 'forbidden_address' }] })
    }
    expect(asked).toHaveLength(4)
    expect(receiver.received).toHaveLength(1)
  })
})

describe('a notification that this release cannot read', () => {
  const changed = async (id: string, with_: object): Promise<void> => {
    const doc: unknown = JSON.parse((await redis.hget(keys.notification(id), 'doc')) ?? '')
    await redis.hset(keys.notification(id), 'doc', JSON.stringify(Object.assign(Object(doc), with_)))
  }

  test('is left as it is, logged once, and delays no other one of its endpoint', async () => {
    const receiver = await startReceiver()
    const endpoint = await addEndpoint(receiver.url)
    const [type, shape, version, damaged] = [
      await addFor(endpoint),
      await addFor(endpoint),
      await addFor(endpoint),
      await addFor(endpoint),
    ]
    await changed(type, { type: 'job.dreamed' })
    await changed(shape, { shape: 'tiny' })
    await changed(version, { v: 2, body: {} })
    await redis.hset(keys.notification(damaged), 'doc', '{"v":1,')
    const unreadable = [type, shape, version, damaged]
    const records = () => Promise.all(unreadable.map((id) => redis.hgetall(keys.notification(id))))
    const before = await records()
    const good = await addFor(endpoint)

    const lines: string[] = []
    const started = sender({
      log: createLogger({ level: 'warn', readable: false, destination: { write: (line) => lines.push(line) } }),
    })
    started.wake()
    await inState(good, 'delivered')
    await makeDue(endpoint.id)
    const next = await addFor(endpoint)
    started.wake()
    await inState(next, 'delivered')
    expect(receiver.ids()).toEqual([good, next])
    expect(await records()).toEqual(before)
    const waiting = await redis.zrange(keys.waitingNotifications(endpoint.id), '0', '-1')
    expect(waiting.toSorted()).toEqual(unreadable.toSorted())
    for (const id of unreadable) expect(lines.filter((line) => line.includes(id))).toHaveLength(1)
  })
})

describe('a notification', () => {
  const bodyUnless = (bad: string, error: unknown) => async (notification: Message['notification']) => {
    if (notification.id === bad) throw error
    return body(notification)
  }

  test.for<[name: string, error: Error, detail: string]>([
    ['a damaged record', new SyntaxError('Unexpected end of JSON input'), 'The record of the job is damaged.'],
    ['an error of a view', new TypeError('x is undefined'), 'The text to send could not be made.'],
  ])(
    'whose text cannot be made is tried by the schedule until it has failed, and does not count for its endpoint: %s',
    async ([, error, detail]) => {
      const receiver = await startReceiver()
      const endpoint = await addEndpoint(receiver.url)
      const bad = await addFor(endpoint)
      const started = sender({ bodyOf: bodyUnless(bad, error) })
      started.wake()
      const first = await settled(bad)
      expect(first).toMatchObject({ state: 'pending', attempts: [{ status: null, error: 'no_content', detail }] })
      expect(Number(first.next_at)).toBeGreaterThan(Date.now())
      const good = await addFor(endpoint)
      started.wake()
      await inState(good, 'delivered')
      expect(await store.health(endpoint.id)).toMatchObject({ failures: 0, paused_until: null })
      for (let tries = 2; tries <= WAITS.length + 1; tries++) {
        await makeDue(endpoint.id)
        started.wake()
        await waitFor(`try ${tries}`, async () => (await read(bad))?.tries === tries)
      }
      expect(await inState(bad, 'failed')).toMatchObject({ tries: 9 })
      expect(receiver.ids()).toEqual([good])
    },
  )

  test.for<[name: string, error: Error]>([
    ['Redis does not respond', new DeadlineError('Redis')],
    ['the record is newer', new NewerRecordError('a record of version 9')],
  ])('whose text can be made later, or by another release, loses no attempt: %s', async ([, error]) => {
    const receiver = await startReceiver()
    const endpoint = await addEndpoint(receiver.url)
    const later = await addFor(endpoint)
    const lines: string[] = []
    const log = createLogger({ level: 'warn', readable: false, destination: { write: (line) => lines.push(line) } })
    sender({ bodyOf: bodyUnless(later, error), log }).wake()
    await waitFor('the line of the log', () => lines.some((line) => line.includes(later)))
    expect(await read(later)).toMatchObject({ state: 'pending', tries: 0, attempts: [] })
    await makeDue(endpoint.id)
    sender().wake()
    expect(await inState(later, 'delivered')).toMatchObject({ tries: 1 })
  })
})

describe('one bad receiver', () => {
  test('delays no other: a hundred dead ones hold no place that a good one needs', async () => {
    const dead = await startReceiver(hang)
    const good = await startReceiver()
    for (let n = 0; n < 100; n++) {
      const endpoint = await addEndpoint(dead.url)
      for (let i = 0; i < 3; i++) await addFor(endpoint)
    }
    const endpoint = await addEndpoint(good.url)
    for (let n = 0; n < 50; n++) await addFor(endpoint)
    const started = sender()
    started.wake()
    await waitFor('the notifications of the good one', async () => (await store.figures()).sent.delivered === 50)
    // None of the dead ones has ended, and each has one attempt.
    expect(dead.received.length).toBeLessThanOrEqual(100)
    expect(new Set(good.ids()).size).toBe(50)
  })

  test('of one tenant with hundreds of them leaves places for the others', async () => {
    const dead = await startReceiver(hang)
    const good = await startReceiver()
    for (let n = 0; n < 300; n++) {
      const url = `http://127.0.0.1:${dead.port}/${n}`
      const added = { ...basic('own'), tenant: 'rude', endpoint: null, destination: `rude ${n}`, url }
      await store.add(added)
    }
    const started = sender()
    started.wake()
    await dead.count(100)
    for (let n = 0; n < 20; n++) await addFor(await addEndpoint(good.url))
    started.wake()
    await waitFor('the others', async () => (await store.figures()).sent.delivered === 20)
    expect(dead.received.length).toBeLessThanOrEqual(128)
  })
})

describe('a sender', () => {
  test.for<[name: string, fault: (proxy: TcpProxy) => Promise<void>]>([
    ['silent', async (proxy) => proxy.blackHole()],
    [
      'gone',
      async (proxy) => {
        await proxy.refuse()
        proxy.resetAll()
      },
    ],
  ])('ends within its time when Redis is away: %s', async ([, fault]) => {
    const receiver = await startReceiver(hang)
    const endpoint = await addEndpoint(receiver.url)
    const id = await addFor(endpoint)
    const url = new URL(testRedisUrl())
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) })
    url.host = `127.0.0.1:${proxy.port}`
    // No call ends by itself.
    const away = new Redis(url.href, { maxRetriesPerRequest: null })
    away.on('error', () => undefined)
    const far = createRedisNotificationStore({ redis: away, keys, endpoints })
    const recording = Promise.withResolvers<undefined>()
    const over: NotificationStore = {
      ...far,
      record(...result) {
        recording.resolve(undefined)
        return far.record(...result)
      },
    }
    const stopping = sender({ over, stopWithin: 50, transport: { timeout: 200 } })
    stopping.wake()
    await receiver.count(1)
    await fault(proxy)
    await recording.promise
    await stopping.stop()
    away.disconnect()
    await proxy.stop()
    receiver.answer(withStatus(204))
    await makeDue(endpoint.id)
    sender().wake()
    await inState(id, 'delivered')
    expect(receiver.ids()).toEqual([id, id])
  })
})
