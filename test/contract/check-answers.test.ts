import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answersSeen, checkAnswersFrom, checkAnswersOf, takeWrongAnswers } from '../support/check-answers.ts'

/** The checker of responses, against a server that sends what a test says. */

const CREDITS = { tenant: 'a', unlimited: true, granted: 0, balance: 0, held: 0, captured: 0, low_balance: null }
const PROBLEM = { type: 'urn:genqueue:error:not_found', title: '', status: 404, detail: '', code: 'not_found' }

let send: (response: ServerResponse) => void
const server = createServer((_request, response) => send(response))
let url: string

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  url = `http://127.0.0.1:${port}`
})
afterAll(() => server.close())

const json =
  (status: number, body: unknown, type = 'application/json') =>
  (response: ServerResponse): void => {
    response.statusCode = status
    response.setHeader('content-type', type)
    response.end(JSON.stringify(body))
  }
const problem = (status: number, body: object) => json(status, body, 'application/problem+json')
const text =
  (type: string, ...parts: string[]) =>
  (response: ServerResponse): void => {
    response.setHeader('content-type', type)
    for (const part of parts) response.write(part)
    response.end()
  }

/** What the checker says of one response. It runs when the response is closed, which its reader does not see. */
async function said(path: string, answer: typeof send): Promise<string> {
  const closed = new Promise<void>((resolve) => {
    send = (response) => {
      response.once('close', resolve)
      answer(response)
    }
  })
  await (await fetch(url + path)).text()
  await closed
  return takeWrongAnswers().join('\n')
}

describe.each([
  ['that a server of this process sends', () => checkAnswersOf(Number(new URL(url).port))],
  ['that this process receives', () => checkAnswersFrom(url)],
])('a response %s', (_where, check) => {
  let unchecked: () => void
  beforeAll(() => void (unchecked = check()))
  afterAll(() => unchecked())

  test.each([
    ['/v1/credits', json(200, CREDITS)],
    ['/v1/credits?x=1', json(200, CREDITS)],
    ['/v1/tenants/of/nobody', problem(404, PROBLEM)],
    ['/v1/jobs/x', problem(404, PROBLEM)],
    ['/assets/page.js', text('text/javascript', 'page')],
    ['/v1/events', text('text/event-stream', 'retry: 1000\n\n', 'id: 1\nevent: ready\ndata: {}\n\n', ': alive\n\n')],
    ['/v1/events', text('text/event-stream', 'id: 2\nevent: reset\nda', 'ta: {}\n\n')],
  ] as const)('%s is as it is described', async (path, answer) => {
    expect(await said(path, answer)).toBe('')
  })

  test.each([
    ['a field too many', '/v1/credits', json(200, { ...CREDITS, more: 1 }), /"additionalProperty":"more"/],
    ['a field too few', '/v1/credits', json(200, { ...CREDITS, held: undefined }), /required property 'held'/],
    ['a field of another type', '/v1/credits', json(200, { ...CREDITS, held: '0' }), /\/held must be integer/],
    ['another status', '/v1/credits', json(202, CREDITS), /the status is not described/],
    ['another media type', '/v1/credits', json(200, CREDITS, 'text/json'), /text\/json is not described/],
    ['an error as JSON', '/v1/jobs/x', json(404, PROBLEM), /not that of a problem/],
    ['a code of another route', '/v1/credits', problem(409, { ...PROBLEM, code: 'not_deletable' }), /not_deletable/],
    ['a problem with more', '/v1/jobs/x', problem(404, { ...PROBLEM, more: 1 }), /"additionalProperty":"more"/],
    ['a problem of no route', '/v1/nothing', problem(404, { ...PROBLEM, code: 'gone' }), /the code gone/],
    [
      'an event too many',
      '/v1/events',
      text('text/event-stream', 'id: 1\nevent: news\ndata: {}\n\n'),
      /\/event must be equal/,
    ],
    ['a line of another shape', '/v1/batches/x/manifest', text('application/x-ndjson', '{}\n'), /required property/],
  ] as const)('%s is found', async (_name, path, answer, expected) => {
    expect(await said(path, answer)).toMatch(expected)
  })

  test('responses are counted', async () => {
    const before = answersSeen()
    await said('/v1/credits', json(200, CREDITS))
    await said('/assets/page.js', text('text/javascript', 'page'))
    expect(answersSeen()).toBe(before + 1)
  })
})
