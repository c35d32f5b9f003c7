import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { FLUX, simulatorFor, type TestSimulator } from './support/simulator.ts'
import { webhookReceiver } from './support/webhook-receiver.ts'

const as = (token: string) => ({ authorization: `Bearer ${token}` })
const PICTURE = { input: { prompt: 'x', megapixels: '0.25' } }

async function upload(simulator: TestSimulator, token: string): Promise<{ id: string; urls: { get: string } }> {
  const body = new FormData()
  body.append('content', new Blob(['abc']), 'abc.txt')
  const response = await fetch(`${simulator.apiUrl}/files`, { method: 'POST', headers: as(token), body })
  expect(response.status).toBe(201)
  return (await response.json()) as { id: string; urls: { get: string } }
}

const idsOf = ({ body }: { body: { results: { id: string }[] } }) => body.results.map(({ id }) => id)

describe('accounts', () => {
  test('each token has predictions, files and a webhook secret that no other has', async () => {
    const simulator = await simulatorFor({ habits: { accounts: 'by_token' } })
    const names = await Promise.all(['alice', 'bob'].map(async (one) => (await simulator.get('account', as(one))).body))
    expect(names[0].username).toMatch(/^user-[0-9a-f]{8}$/)
    expect(names[0].username).not.toBe(names[1].username)
    const { body } = await simulator.post(FLUX, PICTURE, as('alice'))
    expect(idsOf(await simulator.get('predictions', as('alice')))).toEqual([body.id])
    expect(idsOf(await simulator.get('predictions', as('bob')))).toEqual([])
    expect((await simulator.get(`predictions/${body.id}`, as('alice'))).status).toBe(200)
    expect((await simulator.get(`predictions/${body.id}`, as('bob'))).status).toBe(404)
    expect((await simulator.post(`predictions/${body.id}/cancel`, {}, as('bob'))).status).toBe(404)

    const file = await upload(simulator, 'alice')
    expect(idsOf(await simulator.get('files', as('alice')))).toEqual([file.id])
    expect(idsOf(await simulator.get('files', as('bob')))).toEqual([])
    expect((await simulator.get(`files/${file.id}`, as('bob'))).status).toBe(404)
    expect((await simulator.call('DELETE', `files/${file.id}`, undefined, as('bob'))).status).toBe(404)
    const restore = { input: { input_image: file.urls.get } }
    const model = 'models/flux-kontext-apps/restore-image/predictions'
    const error = async (token: string): Promise<string> =>
      (await simulator.post(model, restore, { ...as(token), prefer: 'wait' })).body.error
    expect(await error('alice')).toContain('cannot identify image file')
    expect(await error('bob')).toContain('404 Client Error')

    const receiver = await webhookReceiver()
    const sent = { ...PICTURE, webhook: receiver.url, webhook_events_filter: ['completed'] }
    await simulator.post(FLUX, sent, as('bob'))
    const { raw, headers } = await receiver.completed()
    const secretOf = async (token: string) => (await simulator.get('webhooks/default/secret', as(token))).body.key
    const signed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
    const wrong = new Webhook(await secretOf('alice'))
    expect(() => wrong.verify(raw, signed)).toThrow()
    expect(new Webhook(await secretOf('bob')).verify(raw, signed)).toBeDefined()
  })

  test('each has a budget; named accounts refuse all other tokens', async () => {
    const accounts = { r8_a: 'alice', r8_b: 'bob', r8_c: 'bob' }
    const simulator = await simulatorFor({ habits: { accounts }, createsPerMinute: 1, burst: 1 })
    const created = async (token: string) => (await simulator.post(FLUX, PICTURE, as(token))).status
    expect([await created('r8_a'), await created('r8_a'), await created('r8_b'), await created('r8_c')]).toEqual([
      201, 429, 201, 429,
    ])
    const unknown = await simulator.post(FLUX, PICTURE, as('r8_d'))
    expect([unknown.status, unknown.body.detail]).toEqual([401, 'You did not pass a valid authentication token'])
  })
})

test('a habit gives GET of a prediction a budget beside the others', async () => {
  const simulator = await simulatorFor({ readsPerMinute: 1, burst: 2, habits: { prediction_gets_per_minute: 1 } })
  const { body } = await simulator.post(FLUX, PICTURE)
  const get = async (path: string) => (await simulator.get(path)).status
  expect([await get('account'), await get('account'), await get('account')]).toEqual([200, 200, 429])
  expect([await get(`predictions/${body.id}`), await get(`predictions/${body.id}`)]).toEqual([200, 200])
  expect(await get(`predictions/${body.id}`)).toBe(429)
})
