import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { rawRequest } from '../support/raw-request.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
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

async function open(path: string): Promise<number> {
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
