import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Job, StreamedNotification } from '../../src/client/types.ts'
import { createClient, type Client } from '../../src/client/client.ts'
import { verifyWebhook, type NotificationPayload } from '../../src/client/node.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import { ended, runGenqueue, startGenqueue, type Ended } from '../support/genqueue.ts'
import { createOperator } from '../support/operator.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

const REQUEST = { preset: 'story-page', input: { prompt: 'a fox' }, metadata: { page: 7 } }

interface Received {
  headers: IncomingHttpHeaders
  body: string
}

/** A program of a developer. */
async function startReceiver() {
  const received: Received[] = []
  let status = 200
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(status).end('thanks')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    answerWith: (code: number) => void (status = code),
    stop: () => server.close(),
  }
}

let service: TestService
let operator: ReturnType<typeof createOperator>
let client: Client
let key: string
let secret: string
beforeAll(async () => {
  service = await startService({ simulator: { speed: 50 } })
  operator = createOperator(service)
  key = (await operator.newKey(await operator.newTenant(), { scopes: ['jobs:write', 'jobs:read', 'webhooks'] })).key
  client = createClient({ baseUrl: service.url, key })
  secret = (await client.webhookSecret()).key
})
afterAll(() => service.stop())

const payloads = (received: readonly Received[]) =>
  received.map(({ headers, body }) => verifyWebhook(body, headers, secret))

describe('genqueue listen', () => {
  test('forwards the events of the tenant as its own webhook would get them, and prints the answers', async () => {
    const receiver = await startReceiver()
    const args = ['listen', '--forward', receiver.url, '--json', '--print']
    const child = startGenqueue(args, { env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: key } })
    const end = ended(child)
    await waitFor('the command to listen', () => child.stderr.includes(`Forwarding to ${receiver.url}`))
    expect(child.stderr).toContain(secret)
    const lines = () =>
      child.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { id: string; type: string; status: number; body: string })

    // Of another tenant.
    await service.client.submit(REQUEST)
    const job = await client.run(REQUEST)
    await waitFor('the event of the job', () => lines().length === 1)
    const [first] = receiver.received
    if (first === undefined) throw new Error('nothing was forwarded')
    expect(new Webhook(secret).verify(first.body, first.headers as Record<string, string>)).toEqual({
      type: 'job.succeeded',
      timestamp: job.completed_at,
      data: {
        job: { id: job.id, status: 'succeeded', rev: job.rev, batch: null, metadata: { page: 7 }, error: null },
      },
    })
    expect(first.headers['content-type']).toBe('application/json')
    expect(lines()[0]).toMatchObject({ type: 'job.succeeded', status: 200, body: first.body })
    expect(lines()[0]?.id).toBe(first.headers['webhook-id'])

    receiver.answerWith(500)
    const batch = await client.runBatch({ items: [REQUEST, REQUEST] })
    await waitFor('the events of the batch', () => lines().length === 4)
    // The order is not promised.
    const later = lines().slice(1)
    expect(later.map(({ type, status }) => `${type} ${status}`).toSorted()).toEqual([
      'batch.finished 500',
      'job.succeeded 500',
      'job.succeeded 500',
    ])
    const finished = payloads(receiver.received).find(({ type }) => type === 'batch.finished')
    expect(finished?.type === 'batch.finished' && (finished.data.batch satisfies Batch)).toMatchObject({
      id: batch.id,
      status: 'succeeded',
    })

    receiver.stop()
    await client.run(REQUEST)
    await waitFor('the failed forward', () => lines().length === 5)
    expect(lines()[4]).toMatchObject({ status: null, error: expect.stringContaining('ECONNREFUSED') as string })
    expect((await client.notifications()).data).toEqual([])
    void child.kill('SIGINT')
    expect((await end).exit).toBe(130)
  })

  test.each([
    [['--forward', 'localhost:3000'], 2, 'expected a URL'],
    [['--events', 'job.exploded'], 4, 'Expected one of'],
  ])('with %j ends with %i', async (args, exit, words) => {
    const env = { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: key }
    const result = await ended(startGenqueue(['listen', ...args], { env }))
    expect(result.exit).toBe(exit)
    expect(result.stderr).toContain(words)
  })
})

describe('genqueue endpoints and notifications', () => {
  const run = (...args: string[]): Promise<Ended> =>
    runGenqueue(args, { env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: key } })
  const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await run(...args, '--json')).stdout) as T

  test('manage endpoints; a secret is alone on stdout', async () => {
    const url = 'http://127.0.0.1:9/hook'
    const made = await run('endpoints', 'create', url, '--events', 'job.failed, job.canceled', '--payload', 'full')
    expect(made).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^whsec_\S+\n$/) as string })
    const id = /Endpoint (ep_\w+)/.exec(made.stderr)?.[1] ?? ''
    expect(await json('endpoints', 'list')).toMatchObject({ id, url, events: ['job.failed', 'job.canceled'] })
    expect((await run('endpoints', 'list')).stdout).toMatch(new RegExp(`^ID .*\\n${id} +${url} +enabled +job.failed,`))
    const rotated = await run('endpoints', 'rotate', id, '--grace', '0')
    expect(rotated.stdout).toMatch(/^whsec_/)
    expect(rotated.stdout).not.toBe(made.stdout)
    // Nothing listens there.
    const test = await run('endpoints', 'test', id)
    expect(test.exit).toBe(1)
    expect(test.stdout).toMatch(/^refused .*\nNothing listens at this host and port/)
    expect((await run('endpoints', 'disable', id)).stdout).toBe(`${id}  disabled (owner)\n`)
    expect((await run('endpoints', 'enable', id)).stdout).toBe(`${id}  enabled\n`)
    expect(await run('endpoints', 'delete', id)).toMatchObject({ exit: 0, stdout: `${id}  deleted\n` })
    expect((await run('endpoints', 'list', '--json')).stdout).toBe('')
    const refused = await run('endpoints', 'create', 'https://10.0.0.7/', '--presets', 'no-such')
    expect(refused.exit).toBe(4)
    expect(refused.stderr).toContain('/presets/0: The preset does not exist.')
  })

  test('show the log, and send again what failed', async () => {
    const { redis, keys } = service
    const endpoints = createRedisEndpointStore({ redis, keys })
    const store = createRedisNotificationStore({ redis, keys, endpoints })
    const { tenant } = await client.session()
    const id = `ntf_${ulid()}_own`
    await store.add({
      id,
      tenant: tenant.id,
      type: 'job.failed',
      endpoint: null,
      destination: `${tenant.id}:nothing`,
      url: 'http://127.0.0.1:9/hook',
      shape: 'thin',
      job: `job_${ulid()}`,
      batch: null,
      data: {},
      created_at: Date.now(),
      state: 'pending',
    })
    const fail = async (): Promise<void> => {
      const attempt = { at: Date.now(), duration: 12, status: 404, error: null, detail: 'no such page' }
      const outcome = { state: 'failed', next: null, destination: null, pause: null } as const
      // The worker sends it at the same time.
      await waitFor('the failure to be recorded', async () => {
        const found = await store.read(tenant.id, id)
        return found !== null && (await store.record(found, attempt, outcome))
      })
    }
    await fail()
    expect((await run('notifications', 'list', '--state', 'failed')).stdout).toMatch(
      new RegExp(`${id} +job.failed +failed +job_\\w+ +http://127.0.0.1:9/hook +\\d +404 `),
    )
    const shown = (await run('notifications', 'show', id)).stdout
    expect(shown).toMatch(/404 {2}0\.0 s {2}no such page\n {2}The path does not exist/)
    expect(shown).toContain('"type": "job.failed"')
    expect((await run('notifications', 'redeliver', id)).stdout).toBe(`${id}  pending\n`)
    await fail()
    expect(await json('notifications', 'redeliver', '--failed')).toEqual({ redelivered: 1 })
    expect((await run('notifications', 'redeliver')).exit).toBe(2)
    expect((await run('notifications', 'list', '--limit', '0')).stdout.trim().split('\n')).toHaveLength(1)
  })
})

describe('the stream', () => {
  test('has what no change of a job shows, although no endpoint hears of it', async () => {
    const tenant = await operator.newTenant()
    const own = createClient({
      baseUrl: service.url,
      key: (await operator.newKey(tenant, { scopes: ['jobs:write', 'jobs:read', 'webhooks'] })).key,
    })
    const credits = `/v1/admin/tenants/${tenant}/credits`
    await operator.ask(`${credits}/low-balance`, { body: { low_balance: 5 } })
    const stop = new AbortController()
    const seen: NotificationPayload[] = []
    let state = ''
    const listening = (async () => {
      const changes = own.listen({ signal: stop.signal, onState: (now) => (state = now) })
      for await (const change of changes) {
        if (change.kind === 'reset') continue
        const { body, headers } = change
        seen.push(verifyWebhook(body, headers, (await own.webhookSecret()).key))
      }
    })()
    await waitFor('the stream', () => state === 'open')
    await operator.ask(credits, { body: { amount: 1, reason: 'a test' } })
    await expect(own.submit(REQUEST)).rejects.toMatchObject({ status: 402 })
    await waitFor('both events', () => seen.length === 2)
    const notice = { data: { credits: { tenant, balance: 1, low_balance: 5 } } }
    // The order is not promised.
    expect(seen.toSorted((a, b) => a.type.localeCompare(b.type))).toMatchObject([
      {
        type: 'credits.exhausted',
        data: { credits: { ...notice.data.credits, missing: expect.any(Number) as number } },
      },
      { type: 'credits.low', ...notice },
    ])
    expect((await own.notifications()).data).toEqual([])
    stop.abort()
    await expect(listening).rejects.toThrow('aborted')
  })

  test('resumes after the last event, with the same id and body for the same event', async () => {
    const read = async (last: string | null, until: string): Promise<{ id: string; data: StreamedNotification }[]> => {
      const stop = new AbortController()
      const response = await fetch(`${service.url}/v1/notifications/stream?events=job.started,job.succeeded`, {
        headers: { authorization: `Bearer ${key}`, ...(last === null ? {} : { 'last-event-id': last }) },
        signal: stop.signal,
      })
      const reader = (response.body ?? new ReadableStream<Uint8Array>())
        .pipeThrough(new TextDecoderStream())
        .getReader()
      let text = ''
      const all = () =>
        [...text.matchAll(/^id: (\S+)\nevent: notification\ndata: (.*)\n\n/gm)].map(([, id = '', data = '']) => ({
          id,
          data: JSON.parse(data) as StreamedNotification,
        }))
      while (!all().some(({ data }) => data.body.includes(until) && data.type === 'job.succeeded'))
        text += (await reader.read()).value ?? ''
      stop.abort()
      return all()
    }
    const jobs: Job[] = []
    const reading = read(null, '"metadata":{"last":true}')
    // The stream begins with what happens after its response.
    await waitFor('the stream to be open', async () => {
      jobs.push(await client.run(REQUEST))
      return jobs.length === 2
    })
    await client.run({ ...REQUEST, metadata: { last: true } })
    const first = await reading
    const types = first.map(({ data }) => data.type)
    // A run has started, also where nobody saw it run.
    expect(types.filter((type) => type === 'job.started')).toHaveLength(
      types.filter((type) => type === 'job.succeeded').length,
    )
    expect(types).toContain('job.succeeded')
    const ids = first.map(({ data }) => data.headers['webhook-id'])
    expect(new Set(ids).size).toBe(ids.length)

    const [earliest] = first
    const again = await read(earliest?.id ?? '', '"metadata":{"last":true}')
    // The start of a job that has ended since is sent with the job as it is now.
    const bodies = (events: typeof first) =>
      events
        .filter(({ data }) => data.type === 'job.succeeded')
        .map(({ data }) => [data.headers['webhook-id'], data.body])
    expect(bodies(again).length).toBeGreaterThan(0)
    expect(bodies(first).slice(-bodies(again).length)).toEqual(bodies(again))
    for (const { data } of again) new Webhook(secret).verify(data.body, data.headers)
  })

  test('is for keys with the scope only', async () => {
    const reader = createOperator(service)
    const usual = (await reader.newKey('default')).key
    const answer = await fetch(`${service.url}/v1/notifications/stream`, {
      headers: { authorization: `Bearer ${usual}` },
    })
    expect(answer.status).toBe(403)
  })
})
