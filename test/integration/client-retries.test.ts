import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { ApiError, createClient, isApiError, isNetworkError, NetworkError } from '../../src/client/client.ts'
import { waitFor } from '../support/wait-for.ts'

/** What the client sends again, and when: against a server that answers by a script. */

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const answer =
  (status: number, headers: Record<string, string> = {}, body = '{}'): Answer =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

const problem = (status: number, code: string, headers: Record<string, string> = {}): Answer =>
  answer(status, headers, JSON.stringify({ code, detail: `said ${code}`, title: code }))

const hangUp: Answer = (_request, response) => void response.destroy()
/** Headers and half of the body. */
const breakOff: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
  response.write('{"id":', () => response.destroy())
}

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** Answers in this order, the last one for ever. */
async function scripted(...answers: Answer[]) {
  const seen: { method: string; key: string | undefined; at: number }[] = []
  server = createServer((request, response) => {
    const key = request.headers['idempotency-key']
    seen.push({ method: request.method ?? '', key: typeof key === 'string' ? key : undefined, at: performance.now() })
    request.resume()
    const next = answers[Math.min(seen.length, answers.length) - 1]
    next?.(request, response)
  })
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server does not listen')
  return { seen, client: createClient({ baseUrl: `http://127.0.0.1:${address.port}`, key: 'key' }) }
}

const REQUEST = { preset: 'story-page', input: { prompt: 'a fox' } }

test.each([
  ['a connection that is hung up', hangUp],
  ['an answer that breaks off', breakOff],
  ['502', answer(502)],
  ['503', problem(503, 'unavailable')],
  ['504', answer(504)],
  ['429', problem(429, 'rate_limited')],
])('after %s a read is sent again, and a submission with the same key', async (_name, trouble) => {
  const read = await scripted(trouble, answer(200, {}, '{"id":"job_1"}'))
  expect(await read.client.get('job_1')).toEqual({ id: 'job_1' })
  expect(read.seen).toHaveLength(2)
  server?.close()

  const { client, seen } = await scripted(trouble, answer(202, {}, '{"id":"job_1"}'))
  expect(await client.submit(REQUEST)).toEqual({ id: 'job_1' })
  expect(seen).toHaveLength(2)
  expect(seen[0]?.key).toMatch(/^[0-9a-f]{32}$/)
  expect(seen[1]?.key).toBe(seen[0]?.key)
})

test('after accept_unknown the same key is sent again, and the error has it when attempts are used up', async () => {
  const { client, seen } = await scripted(problem(503, 'accept_unknown'))
  const error: unknown = await client.submit(REQUEST).catch((one: unknown) => one)
  expect(isApiError(error, 'accept_unknown', 'unavailable') && error.idempotencyKey).toBe(seen[0]?.key)
  expect(seen.map(({ key }) => key)).toEqual(Array.from({ length: 4 }, () => seen[0]?.key))
  expect([isApiError(error), isApiError(error, 'capacity'), isNetworkError(error)]).toEqual([true, false, false])
  server?.close()
  const gone = await scripted(hangUp)
  const lost: unknown = await gone.client.batch({ items: [] }, { idempotencyKey: 'mine' }).catch((one: unknown) => one)
  expect(isNetworkError(lost) && lost.idempotencyKey).toBe('mine')
})

test('an upload is sent again, because it only leaves a file that nothing uses', async () => {
  const { client, seen } = await scripted(hangUp, answer(201, {}, '{"id":"upl_1","url":"/v1/uploads/upl_1"}'))
  expect((await client.upload(new Uint8Array(3))).id).toBe('upl_1')
  expect(seen).toHaveLength(2)
})

test.each(['cancel', 'cancelBatch'] as const)('%s has no key, and is sent once', async (method) => {
  const { client, seen } = await scripted(hangUp)
  await expect(client[method]('some')).rejects.toBeInstanceOf(NetworkError)
  expect(seen).toHaveLength(1)
})

test.each([400, 401, 402, 404, 409, 422, 500])('%i says the same again, so it is asked once', async (status) => {
  const { client, seen } = await scripted(problem(status, 'some_code'))
  const error: unknown = await client.submit(REQUEST).catch((one: unknown) => one)
  expect(error).toBeInstanceOf(ApiError)
  expect(error).toMatchObject({ status, code: 'some_code', message: 'said some_code' })
  expect(seen).toHaveLength(1)
})

test('attempts are bounded, and the last refusal is returned', async () => {
  const { client, seen } = await scripted(problem(503, 'capacity'))
  await expect(client.get('job_1')).rejects.toMatchObject({ code: 'capacity', retryAfter: null })
  expect(seen).toHaveLength(4)
})

test('Retry-After is waited for', async () => {
  const { client, seen } = await scripted(problem(503, 'unavailable', { 'retry-after': '1' }), answer(200))
  await client.get('job_1')
  expect((seen[1]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThanOrEqual(990)
})

test('a Retry-After of an hour is returned, not slept', async () => {
  const { client, seen } = await scripted(problem(429, 'rate_limited', { 'retry-after': '3600' }))
  await expect(client.submit(REQUEST)).rejects.toMatchObject({ code: 'rate_limited', retryAfter: 3600 })
  expect(seen).toHaveLength(1)
})

test('a signal ends a pause, and the error is its reason', async () => {
  const { client, seen } = await scripted(problem(503, 'unavailable', { 'retry-after': '30' }))
  const leaving = new AbortController()
  const submitted = client.submit(REQUEST, { signal: leaving.signal })
  const outcome = submitted.catch((error: unknown) => error)
  await waitFor('the first request', () => seen.length === 1)
  leaving.abort(new Error('gone for lunch'))
  expect(await outcome).toMatchObject({ message: 'gone for lunch' })
  expect(seen).toHaveLength(1)
})

test('an answer that never comes is given up after the timeout', async () => {
  const { seen } = await scripted(() => undefined)
  const address = server?.address()
  const port = typeof address === 'object' ? address?.port : 0
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}`, timeout: 100, attempts: 2 })
  await expect(client.get('job_1')).rejects.toMatchObject({ name: 'NetworkError', cause: { name: 'TimeoutError' } })
  expect(seen).toHaveLength(2)
})

test('an HTML page of another server is distinguished from the API', async () => {
  const { client, seen } = await scripted(answer(200, { 'content-type': 'text/html' }, '<h1>Welcome</h1>'))
  await expect(client.list()).rejects.toMatchObject({ code: 'unexpected_answer', status: 200 })
  const refused = await scripted(answer(418, { 'content-type': 'text/html' }, '<h1>Teapot</h1>'))
  await expect(refused.client.list()).rejects.toMatchObject({ code: 'unexpected_answer', status: 418 })
  expect(seen).toHaveLength(1)
})
