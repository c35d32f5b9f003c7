import { once } from 'node:events'
import { Agent, createServer, request as ask } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBody } from '../../src/api/read-body.ts'

/** Bodies that have arrived before they are read, and others. */

const MAX = 100_000
const MARK = 0x21

const server = createServer((request, response) => {
  const isComplete = { before: false }
  const read = async (): Promise<void> => {
    if (request.headers['x-late'] === '1') while (!request.complete) await turn()
    isComplete.before = request.complete
    const look = (chunk: Buffer): void => {
      if (chunk.includes(MARK)) throw new Error('refused')
    }
    const body = await readBody(request, { maxBytes: MAX, idleMs: 10_000, look }).catch((error: Error) => error.message)
    const text = typeof body === 'string' ? body : body === null ? 'too large' : body.toString('latin1')
    response.end(JSON.stringify({ arrived: isComplete.before, text }))
  }
  void read()
})
/** One connection for all requests: each leaves it usable. */
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  agent.destroy()
  server.close()
})

function post(body: string, headers: Record<string, string>): Promise<{ arrived: boolean; text: string }> {
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const request = ask({ port, host: '127.0.0.1', method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text) as { arrived: boolean; text: string }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

test.each(['0', '1'])('is the same (read late: %s)', async (late) => {
  const headers = { 'x-late': late }
  for (const size of [1, 1000, 50_000]) {
    const { arrived, text } = await post('a'.repeat(size), headers)
    expect(text).toBe('a'.repeat(size))
    if (late === '1') expect(arrived).toBe(true)
  }
  const chunked = { ...headers, 'transfer-encoding': 'chunked' }
  expect((await post('', headers)).text).toBe('')
  expect((await post('abc', chunked)).text).toBe('abc')
  expect((await post('', chunked)).text).toBe('')
  expect((await post(`a${String.fromCodePoint(MARK)}`, headers)).text).toBe('refused')
  // Above the length that is announced, and above what has arrived without one.
  if (late === '0')
    expect((await post('a'.repeat(MAX + 1), { ...headers, connection: 'close' })).text).toBe('too large')
  expect((await post('the last', headers)).text).toBe('the last')
})

test('is limited also when it came without a length', async () => {
  const headers = { 'x-late': '0', 'transfer-encoding': 'chunked' }
  expect((await post('a'.repeat(MAX + 1), { ...headers, connection: 'close' })).text).toBe('too large')
})
