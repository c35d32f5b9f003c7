import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { rawRequest } from '../support/raw-request.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { createOperator } from '../support/operator.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const MOST = 500

let service: TestService
let job: string
beforeAll(async () => {
  service = await startService()
  await service.simulator.faults({ predictions: { starting_forever: { probability: 1 } } })
  job = (await service.client.submit({ version: HELLO, input: { text: 'x' } })).id
})
afterAll(() => service.stop())

/** Keeps its response: an unreferenced response is closed when it is collected. */
const readers: { leave: AbortController; response: Response | null }[] = []
const leaveAll = (): void => {
  for (const { leave } of readers.splice(0)) leave.abort()
}
afterEach(() => leaveAll())

/** The status of a stream. A server that is busy with the others may let a request time out (408, 503). */
const open = (path: string): Promise<number> =>
  waitFor('a response', async () => {
    const status = await openOnce(path)
    return status !== 408 && status !== 503 && status
  })

async function openOnce(path: string): Promise<number> {
  const reader: (typeof readers)[number] = { leave: new AbortController(), response: null }
  readers.push(reader)
  const headers = { authorization: `Bearer ${TEST_KEY}` }
  reader.response = await fetch(service.url + path, { headers, signal: reader.leave.signal })
  return reader.response.status
}

test('a key is limited in open streams, until one is closed', async () => {
  const statuses = await Promise.all(
    Array.from({ length: MOST + 20 }, (_, i) => open(i % 2 ? '/v1/events' : `/v1/jobs/${job}/events`)),
  )
  expect(statuses.filter((status) => status === 200)).toHaveLength(MOST)
  expect(statuses.filter((status) => status === 429)).toHaveLength(20)
  leaveAll()
  await waitFor('a place', async () => (await open('/v1/events')) === 200)
})

test('readers that left before the first byte hold no place', async () => {
  const { port } = new URL(service.url)
  const come = (method: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(
          `${method} /v1/jobs/${job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`,
          () => socket.resetAndDestroy(),
        )
      })
      socket.on('close', () => resolve())
      socket.on('error', () => undefined)
    })
  for (let round = 0; round < 12; round++) await Promise.all(Array.from({ length: 50 }, () => come('GET')))
  const statuses = await waitFor('places for everyone', async () => {
    const all = await Promise.all(Array.from({ length: MOST }, () => open(`/v1/jobs/${job}/events`)))
    if (all.every((status) => status === 200)) return all
    leaveAll()
    return undefined
  })
  expect(statuses).toHaveLength(MOST)
})

test('HEAD returns the headers of a stream, and ends', async () => {
  const headers = { authorization: `Bearer ${TEST_KEY}` }
  // A server that is busy with the readers before may let a request time out (408); one that does not end is never answered.
  const response = await waitFor('the headers', async () => {
    const answer = await fetch(`${service.url}/v1/jobs/${job}/events`, { method: 'HEAD', headers })
    return answer.status !== 408 && answer
  })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  const head = `HEAD /v1/jobs/${job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`
  const get = 'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'
  const received = await waitFor('what the connection brings', async () => {
    const text = await rawRequest(service.url, head + get)
    return !text.startsWith('HTTP/1.1 408') && text
  })
  expect(received).toContain('"status":"ok"')
})

/** Reads the events of a stream as they arrive. */
async function read(path: string, key = TEST_KEY, lastEventId?: string) {
  const leave = new AbortController()
  const response = await fetch(service.url + path, {
    headers: { authorization: `Bearer ${key}`, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    signal: leave.signal,
  })
  readers.push({ leave, response })
  expect(response.status).toBe(200)
  const events: { id: string; event: string; data: Partial<Job> }[] = []
  void (async () => {
    let rest = ''
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const [, id = '', event = '', data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block) ?? []
        if (data !== undefined) events.push({ id, event, data: JSON.parse(data) as Partial<Job> })
      }
    }
  })().catch(() => undefined)
  await waitFor('the beginning', () => events.length > 0)
  return events
}
const jobsOf = (events: { data: Partial<Job> }[]): (string | undefined)[] => [
  ...new Set(events.flatMap(({ data }) => data.id ?? [])),
]

test('a stream sends the jobs that its filters want, also after it was resumed', async () => {
  const submit = (metadata: Record<string, string | number>, user?: string) =>
    service.client.submit({
      version: HELLO,
      input: { text: 'x' },
      metadata,
      ...(user === undefined ? {} : { user }),
    })
  const [byPage, byUser, byStatus, all] = await Promise.all([
    read('/v1/events?metadata.book=fox&metadata.page=7'),
    read('/v1/events?user=u1'),
    read('/v1/events?status=canceled&metadata.book=fox'),
    read('/v1/events'),
  ])
  const other = await submit({ book: 'fox', page: 8 })
  const mine = await submit({ book: 'fox', page: 7 }, 'u1')
  await service.client.cancel(other.id)
  await waitFor('the wanted jobs', () => [byPage, byUser, byStatus].every((events) => events.length > 1))
  await waitFor('the cancel', () => all.some(({ data }) => data.id === other.id && data.status === 'canceled'))
  expect([byPage, byUser, byStatus].map(jobsOf)).toEqual([[mine.id], [mine.id], [other.id]])
  const since = all[0]?.id ?? ''
  const resumed = await read(`/v1/events?since=${since}&metadata.page=7`)
  await waitFor('what it missed', () => resumed.length > 1)
  expect(jobsOf(resumed)).toEqual([mine.id])
  const batch = await service.client.batch({
    items: [{ version: HELLO, input: { text: 'in a batch' } }],
  })
  const ofBatch = await read(`/v1/events?batch=${batch.id}&status=canceled`)
  await service.client.cancelBatch(batch.id)
  await waitFor('the job of the batch', () => ofBatch.length > 1)
  expect(ofBatch[1]?.data).toMatchObject({ batch: batch.id, status: 'canceled' })
})

test('an operator follows the jobs of all tenants, or of one, and nobody else does', async () => {
  const operator = createOperator(service)
  const tenant = await operator.newTenant()
  const { key } = await operator.newKey(tenant)
  const all = await read('/v1/admin/events')
  const one = await read(`/v1/admin/events?tenant=${tenant}`)
  const own = await service.client.submit({ version: HELLO, input: { text: 'x' } })
  const foreign = await operator.submit(key, { version: HELLO, input: { text: 'x' } })
  await waitFor('both', () => [own.id, foreign].every((id) => jobsOf(all).includes(id)))
  await waitFor('the one', () => jobsOf(one).length > 0)
  expect(jobsOf(one)).toEqual([foreign])
  expect(all.find(({ data }) => data.id === foreign)?.data.tenant).toBe(tenant)
  const resumed = await read('/v1/admin/events', TEST_KEY, all[0]?.id)
  await waitFor('what it missed', () => [own.id, foreign].every((id) => jobsOf(resumed).includes(id)))
  const refused = await fetch(`${service.url}/v1/admin/events`, { headers: { authorization: `Bearer ${key}` } })
  expect(refused.status).toBe(403)
})

test.each([
  ['status=done', '/status'],
  ['preset=%20', '/preset'],
  ['batch=bat_1', '/batch'],
  ['since=1', '/since'],
  ['metadata.a=1&metadata.a=2', '/metadata.a'],
  ['tenant=a', '/tenant'],
  [Array.from({ length: 6 }, (_, i) => `metadata.m${i}=1`).join('&'), '/metadata.m5'],
])('a wrong filter is named: %s', async (query, pointer) => {
  const response = await fetch(`${service.url}/v1/events?${query}`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  const { errors } = (await response.json()) as { errors?: { pointer: string }[] }
  expect([response.status, errors?.map((one) => one.pointer)]).toEqual([422, [pointer]])
})

test('B23 a Last-Event-ID that is none is refused, and one that is ahead of everything gives a reset', async () => {
  const [first] = await read('/v1/events')
  const epoch = /^(.+)-\d+-\d+$/.exec(first?.id ?? '')?.[1] ?? ''
  const garbage = ['x', '-', '0-0', `${epoch}-1`, `${epoch}-1-1-1`, `${epoch}-${'9'.repeat(16)}-0`, 'x'.repeat(8_000)]
  for (const [path, ids] of [
    ['/v1/events', garbage],
    ['/v1/admin/events', garbage],
    [`/v1/jobs/${job}/events`, ['x', '-1', '1e3', '9'.repeat(16), 'x'.repeat(8_000)]],
  ] as const)
    for (const id of ids) {
      const headers = { authorization: `Bearer ${TEST_KEY}`, 'last-event-id': id }
      const response = await fetch(service.url + path, { headers })
      expect([path, id.slice(0, 30), response.status]).toEqual([path, id.slice(0, 30), 400])
      expect(await response.json()).toMatchObject({ code: 'invalid_header' })
    }
  const [ahead] = await read('/v1/events', TEST_KEY, `${epoch}-${'9'.repeat(15)}-0`)
  expect(ahead?.event).toBe('reset')
})
