import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { finished, inPhase } from '../support/finished.ts'
import { forgetAttempt } from '../support/forgotten-attempt.ts'
import { startOwnRedis, type OwnRedis } from '../support/redis.ts'
import { aboutPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const GEMINI = 'google/gemini-3-pro'
const TOKENS = { default: 'r8_first', second: 'r8_second' }
const USERS = { r8_first: 'alice', r8_second: 'bob' }
const ADMIN = { authorization: `Bearer ${TEST_KEY}` }
type Account = keyof typeof TOKENS

let service: TestService
let own: OwnRedis
beforeAll(async () => {
  own = await startOwnRedis()
  service = await startService({
    timings: SHORT_TIMINGS,
    redisUrl: own.url,
    simulator: { habits: { accounts: USERS } },
    env: {
      REPLICATE_API_TOKEN: TOKENS.default,
      REPLICATE_ACCOUNTS: JSON.stringify([
        { name: 'second', token: TOKENS.second, weight: 2, creates_per_minute: 60_000, reads_per_minute: 60_000 },
        {
          name: 'default',
          weight: 1,
        },
      ]),
    },
  })
})
afterAll(async () => {
  await service.stop()
  await own.stop()
})

const submit = (count: number): Promise<string[]> =>
  Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const { id } = await service.client.submit({ version: HELLO, input: { text: `job ${i}` } })
      return id
    }),
  )

/** The job of each prediction of an account, from the list that its token shows. */
async function jobsIn(account: Account): Promise<string[]> {
  const found: string[] = []
  for (let url: string | null = `${service.simulator.apiUrl}/predictions`; url !== null;) {
    const response = await fetch(url, { headers: { authorization: `Bearer ${TOKENS[account]}` } })
    const page = (await response.json()) as { results: { id: string }[]; next: string | null }
    for (const { id } of page.results) {
      const one = await fetch(`${service.simulator.apiUrl}/predictions/${id}`, {
        headers: { authorization: `Bearer ${TOKENS[account]}` },
      })
      const { webhook } = (await one.json()) as { webhook: string }
      found.push(new URL(webhook).searchParams.get('job') ?? '')
    }
    url = page.next
  }
  return found
}

async function habits(changes: object): Promise<void> {
  const response = await fetch(`${service.simulator.url}/_sim/habits`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(changes),
  })
  expect(response.status).toBe(200)
}

test('accounts share the jobs by weight, and each prediction is in one of them', async () => {
  const ids = await submit(30)
  for (const id of ids) expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
  const [first, second] = [await jobsIn('default'), await jobsIn('second')]
  expect([...first, ...second].toSorted()).toEqual(ids.toSorted())
  expect(first.length).toBeGreaterThan(4)
  expect(second.length).toBeGreaterThan(first.length)
})

test('jobs of an account that is refused are created in the other one, once, and it is used again when it is accepted', async () => {
  await habits({ accounts: { r8_first: 'alice' } })
  const ids = await submit(30)
  for (const id of ids) expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
  const during = (await jobsIn('default')).filter((id) => ids.includes(id))
  expect(during.toSorted()).toEqual(ids.toSorted())
  const { checks } = await service.client.doctor()
  expect(checks.find(({ name }) => name === 'replicate')).toMatchObject({
    state: 'failed',
    seen: expect.stringMatching(/^Account second: .* refuses the token \(401\)\.$/),
    todo: expect.stringContaining('the token of second in REPLICATE_ACCOUNTS'),
  })
  await habits({ accounts: USERS })
  await waitFor('the second account to be used again', async () => {
    const [id = ''] = await submit(1)
    await finished(service, id)
    return (await jobsIn('second')).includes(id)
  })
})

test('the health and the metrics show each account, and all of them together', async () => {
  await pauseAccount('second', true)
  const health = await service.client.health()
  expect(health.accounts.map(({ name, pause }) => [name, pause?.reason])).toEqual([
    ['default', undefined],
    ['second', 'rate_limited'],
  ])
  expect(health).toMatchObject({ pause: null, budget: { creates: { ceiling: 120_000 } } })
  const metrics = await (await fetch(`${service.url}/metrics`, { headers: ADMIN })).text()
  expect(metrics).toMatch(/genqueue_account_creates_per_minute\{account="second"\} 60000/)
  expect(metrics).toMatch(/genqueue_creation_paused_seconds 0/)
  await pauseAccount('default', true)
  expect((await service.client.health()).pause).toMatchObject({ reason: 'rate_limited' })
  await pauseAccount('default', false)
  await pauseAccount('second', false)
})

/** Jobs are created in the other account only. */
async function pauseAccount(account: Account, isPaused: boolean): Promise<void> {
  const key = service.keys.account(account)
  if (isPaused) await service.redis.hset(key, { paused_until: Date.now() + 60_000, pause_reason: 'rate_limited' })
  else await service.redis.hdel(key, 'paused_until', 'pause_reason')
}

const accountOf = async (id: string): Promise<string> =>
  (await service.redis.hget(service.keys.job(id), 'account')) ?? 'default'

test('a webhook is verified with the secret of the account that its URL names', async () => {
  await pauseAccount('default', true)
  const [id = ''] = await submit(1)
  const { prediction_id } = await finished(service, id)
  await pauseAccount('default', false)
  expect(await accountOf(id)).toBe('second')
  const signers = await Promise.all(Object.values(TOKENS).map((token) => signerOf(service, token)))
  const [first, second] = signers
  if (!first || !second) throw new Error('two accounts have two signers')
  const { tokens } = second
  const body = aboutPrediction({ prediction_id: prediction_id ?? '' }, 'succeeded')
  const ours = tokens.url(id, 1, 'second')
  expect(await sendWebhook(first.sign(ours, body))).toBe(401)
  // The token of one account is not one of the other.
  const moved = new URL(ours)
  moved.searchParams.delete('account')
  expect(await sendWebhook(first.sign(moved.href, body))).toBe(401)
  expect(await sendWebhook(first.sign(tokens.url(id, 1, 'nobody'), body))).toBe(503)
  expect(await sendWebhook(second.sign(ours, body))).toBe(200)
})

describe('when Redis was restarted', () => {
  test('a prediction whose intent it forgot is found in the account in which it is', async () => {
    await pauseAccount('default', true)
    await service.simulator.faults({ webhooks: { drop: 1 } })
    const { id } = await service.client.submit({ model: GEMINI, input: { prompt: 'forgotten intent' } })
    const running = await inPhase(service, id, 'created', 'running')
    const prediction = running.prediction_id ?? ''
    expect(await accountOf(id)).toBe('second')
    await forgetAttempt(service, running, 'second')
    await pauseAccount('default', false)
    const job = await waitFor('the prediction to be adopted', async () => {
      const now = await service.client.get(id)
      return now.prediction_id === prediction && now
    })
    expect(job).toMatchObject({ attempt: 1 })
    expect(await accountOf(id)).toBe('second')
    await service.simulator.faults({ webhooks: null })
    await service.client.cancel(id)
    await finished(service, id)
    expect(await jobsIn('default')).not.toContain(id)
    expect((await jobsIn('second')).filter((one) => one === id)).toHaveLength(1)
  })

  test('jobs that may have been sent in an account that cannot be listed wait for it, and no others', async () => {
    await habits({ accounts: { r8_first: 'alice' } })
    await pauseAccount('default', true)
    const [old = ''] = await submit(1)
    await waitFor(
      'the second account to be refused',
      async () => (await service.redis.hget(service.keys.account('second'), 'half_open')) !== null,
    )
    await service.redis.script('FLUSH')
    await pauseAccount('default', false)
    await waitFor('the job to wait for the list', async () => {
      const { waiting_for } = await service.client.get(old)
      return waiting_for?.reason === 'recovery' && waiting_for.detail.includes('second')
    })
    const later = await submit(3)
    for (const id of later) expect(await finished(service, id)).toMatchObject({ status: 'succeeded' })
    expect((await service.client.get(old)).status).toBe('queued')
    await habits({ accounts: USERS })
    expect(await finished(service, old)).toMatchObject({ status: 'succeeded' })
    const all = [...(await jobsIn('default')), ...(await jobsIn('second'))]
    for (const id of [old, ...later]) expect(all.filter((one) => one === id)).toHaveLength(1)
  })
})
