import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOperator, type Operator } from '../support/operator.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'

/** Jobs that only one account may run do not hold up those of others while it takes nothing. */

const HELLO = { version: '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426', input: { text: 'hello' } }
const USERS = { r8_first: 'alice', r8_own: 'bob' }
/** More than a worker has in hand at a time. */
const HELD = 40

let service: TestService
let operator: Operator
beforeAll(async () => {
  service = await startService({
    timings: SHORT_TIMINGS,
    simulator: { habits: { accounts: USERS } },
    env: {
      REPLICATE_API_TOKEN: 'r8_first',
      REPLICATE_CREATES_PER_MINUTE: '60000',
      REPLICATE_ACCOUNTS: JSON.stringify([
        { name: 'default' },
        { name: 'own', token: 'r8_own', tenants: ['tenant-1'], dedicated: true, creates_per_minute: 60_000 },
      ]),
    },
  })
  operator = createOperator(service)
  await operator.newTenant()
})
afterAll(() => service.stop())

const PAUSES = '/v1/admin/pauses'
const OWN = 'account:own'

async function accept(tokens: object): Promise<void> {
  const response = await fetch(`${service.simulator.url}/_sim/habits`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accounts: tokens }),
  })
  expect(response.status).toBe(200)
}

test.each<[string, { begin: () => Promise<unknown>; end: () => Promise<unknown> }]>([
  [
    'paused by an operator',
    {
      begin: () => operator.ask(PAUSES, { body: { scope: OWN, reason: 'a test' } }),
      end: () => operator.ask(`${PAUSES}?scope=${OWN}`, { method: 'DELETE' }),
    },
  ],
  ['refused by Replicate', { begin: () => accept({ r8_first: 'alice' }), end: () => accept(USERS) }],
])('an account that is %s keeps its own jobs waiting, and no others', async (_how, { begin, end }) => {
  const held = (await operator.newKey('tenant-1')).key
  const free = (await operator.newKey('default')).key
  await begin()
  const waiting = await Promise.all(Array.from({ length: HELD }, () => operator.submit(held, HELLO)))
  for (let i = 0; i < 3; i++) {
    const { status } = await operator.finished(free, await operator.submit(free, HELLO))
    expect(status).toBe('succeeded')
  }
  const states = await Promise.all(
    waiting.map((id) => operator.ask<{ status: string }>(`/v1/jobs/${id}`, { key: held })),
  )
  expect(new Set(states.map(({ body: { status } }) => status))).toEqual(new Set(['queued']))
  await end()
  for (const id of waiting) expect((await operator.finished(held, id)).status).toBe('succeeded')
})
