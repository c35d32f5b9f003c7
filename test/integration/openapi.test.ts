import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiDescriptionSchema, METHODS, type ApiDescription } from '../../src/api/api-description.ts'
import type { Job } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'

/** The description of the API against what the service really answers. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let service: TestService
let document: ApiDescription
let ajv: Ajv2020

beforeAll(async () => {
  service = await startService({ env: { UNPRICED_MODELS: 'allow' } })
  const answer = await fetch(`${service.url}/openapi.json`)
  expect(answer.headers.get('content-type')).toContain('application/json')
  document = apiDescriptionSchema.parse(await answer.json())
  ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'api')
})
afterAll(() => service.stop())

/** What is wrong with a value, by the schema of a name. */
function wrong(name: string, value: unknown): unknown {
  const validate = ajv.compile({ $ref: `api#/components/schemas/${name}` })
  return validate(value) ? null : validate.errors
}

const call = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(service.url + path, {
    ...init,
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
  })

test('each described path takes the described methods, and no other', async () => {
  for (const [path, item] of Object.entries(document.paths)) {
    // A separate receiver, which accepts POST only.
    if (path.startsWith('/webhooks/')) continue
    const answer = await call(path.replace(/\{\w+\}/g, 'x'), { method: 'PUT' })
    expect([path, answer.status]).toEqual([path, 405])
    const methods = METHODS.filter((method) => item[method]).map((method) => method.toUpperCase())
    expect([path, answer.headers.get('allow')?.split(', ').sort()]).toEqual([path, methods.sort()])
  }
})

describe('as it is described', () => {
  test('is a job in each state, alone and in a list, with every field and no other', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'out of memory' } } })
    const failing = await service.client.submit({ version: HELLO, input: { text: 'fails' } })
    await finished(service, failing.id)
    const done = await service.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'described', num_outputs: 2 },
    })
    await finished(service, done.id)
    const { data, ...page } = (await (await call('/v1/jobs')).json()) as { data: Job[]; next_cursor: unknown }
    expect(wrong('JobPage', { data, ...page })).toBeNull()
    const all = Object.keys(document.components.schemas['Job']?.properties ?? {}).sort()
    const fields = all.filter((name) => name !== 'history')
    for (const job of [done, await service.client.get(done.id)]) {
      expect(wrong('Job', job)).toBeNull()
      expect(Object.keys(job).sort()).toEqual(fields)
    }
    // A forecast is made for one job at a time.
    for (const job of data) expect(Object.keys(job).sort()).toEqual(fields.filter((name) => name !== 'forecast'))
    expect(data.map(({ status }) => status).sort()).toEqual(['failed', 'succeeded'])
    const shown = (await (await call(`/v1/jobs/${done.id}?include=history`)).json()) as Job
    expect(wrong('Job', shown)).toBeNull()
    expect(Object.keys(shown).sort()).toEqual(all)
    expect(shown.history?.map(({ phase }) => phase)).toEqual(
      expect.arrayContaining(['queued', 'submitting', 'succeeded']),
    )
    expect(wrong('JobLogs', await (await call(`/v1/jobs/${done.id}/logs`)).json())).toBeNull()
    const [artifact] = (await service.client.get(done.id)).artifacts
    expect(Object.keys(artifact ?? {}).sort()).toEqual(
      Object.keys(document.components.schemas['Artifact']?.properties ?? {}).sort(),
    )
  })

  test('are presets, models, health and problems', async () => {
    const presets: unknown = await (await call('/v1/presets')).json()
    expect(wrong('PresetPage', presets)).toBeNull()
    const preset = (await (await call('/v1/presets/story-page')).json()) as object
    expect(Object.keys(preset).sort()).toEqual(
      Object.keys(document.components.schemas['Preset']?.properties ?? {}).sort(),
    )
    expect(wrong('ModelPage', await (await call('/v1/models')).json())).toBeNull()
    expect(wrong('Model', await (await call('/v1/models/black-forest-labs/flux-schnell')).json())).toBeNull()
    expect(wrong('Liveness', await (await call('/livez')).json())).toBeNull()
    expect(wrong('Readiness', await (await call('/readyz')).json())).toBeNull()
    const health = (await (await call('/v1/health')).json()) as object
    expect(wrong('Health', health)).toBeNull()
    expect(Object.keys(health).sort()).toEqual(
      Object.keys(document.components.schemas['Health']?.properties ?? {}).sort(),
    )
    expect(wrong('Session', await (await call('/v1/session')).json())).toBeNull()
    const bodies = ['{', '{"input":{},"extra":1}', '{"model":"a/b","input":[]}']
    for (const body of bodies) {
      const answer = await call('/v1/jobs', { method: 'POST', body })
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(wrong('Problem', await answer.json())).toBeNull()
    }
  })

  test('are tenants, keys and tokens', async () => {
    const returned = async (path: string, body?: object): Promise<unknown> =>
      (await call(path, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })).json()
    expect(
      wrong('Tenant', await returned('/v1/admin/tenants', { id: 'described', limits: { queued_jobs: 3 } })),
    ).toBeNull()
    expect(wrong('TenantPage', await returned('/v1/admin/tenants'))).toBeNull()
    const key = await returned('/v1/admin/tenants/described/keys', { expires_at: '2999-01-01T00:00:00Z' })
    expect(wrong('NewKey', key)).toBeNull()
    const { id } = key as { id: string }
    expect(wrong('NewKey', await returned(`/v1/admin/tenants/described/keys/${id}/rotate`, { grace: 60 }))).toBeNull()
    expect(wrong('KeyPage', await returned('/v1/admin/tenants/described/keys'))).toBeNull()
    const job = await service.client.submit({ version: HELLO, input: { text: 'watched' } })
    expect(wrong('ReadToken', await returned(`/v1/jobs/${job.id}/token`, {}))).toBeNull()
    await finished(service, job.id)
  })

  test('are the account, its ledger and its spending', async () => {
    const entered = await call('/v1/admin/tenants/default/credits', {
      method: 'POST',
      body: JSON.stringify({ amount: 1_000_000_000, reason: 'described' }),
    })
    expect([entered.status, wrong('LedgerEntry', await entered.json())]).toEqual([201, null])
    await finished(service, (await service.client.submit({ preset: 'story-page', input: { prompt: 'described' } })).id)
    expect(wrong('Credits', await (await call('/v1/credits')).json())).toBeNull()
    const ledger = (await (await call('/v1/credits/ledger')).json()) as { data: { kind: string }[] }
    expect(wrong('LedgerPage', ledger)).toBeNull()
    expect(ledger.data.map(({ kind }) => kind)).toEqual(['capture', 'hold', 'grant'])
    for (const by of ['day', 'preset'])
      expect(wrong('Spending', await (await call(`/v1/credits/spending?by=${by}`)).json())).toBeNull()
  })

  test('is what may be submitted', async () => {
    const bodies: [body: object, accepted: boolean][] = [
      [{ version: HELLO, input: { text: 'x' } }, true],
      [{ version: HELLO, input: {}, metadata: {}, webhook_events: ['logs'], timeout: 5, start_within: 1 }, true],
      [{ version: HELLO, input: {}, on_unknown: 'retry' }, true],
      [{ version: HELLO, input: {}, on_unknown: 'maybe' }, false],
      [{ preset: 'story-page', input: { prompt: 'x' }, start_within: 60 }, true],
      [{ preset: 'Story page', input: { prompt: 'x' } }, false],
      [{ preset: 'story-page', version: HELLO, input: { prompt: 'x' } }, false],
      [{ version: HELLO, input: {}, store: 'none' }, true],
      [{ version: HELLO, input: {}, store: 'forever' }, false],
      [{ input: {} }, false],
      [{ version: HELLO, model: 'a/b', input: {} }, false],
      [{ version: 'latest', input: {} }, false],
      [{ version: HELLO, input: {}, timeout: 4 }, false],
      [{ version: HELLO, input: {}, webhook_events: ['end'] }, false],
      [{ version: HELLO, input: {}, priority: 1 }, false],
    ]
    for (const [body, accepted] of bodies) {
      const answer = await call('/v1/jobs', { method: 'POST', body: JSON.stringify(body) })
      expect([body, answer.status]).toEqual([body, accepted ? 202 : 422])
      expect([body, wrong('JobRequest', body) === null]).toEqual([body, accepted])
    }
  })
})

test('a job is tried again as it is described, and only when it is over', async () => {
  const { id } = await service.client.submit({ version: HELLO, input: { text: 'once more' } })
  await finished(service, id)
  const answer = await call(`/v1/jobs/${id}/retry`, { method: 'POST' })
  expect(answer.status).toBe(202)
  const job = (await answer.json()) as Job
  expect(wrong('Job', job)).toBeNull()
  expect(job.retry_of).toBe(id)
  await finished(service, job.id)
  await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
  const open = await service.client.submit({ version: HELLO, input: { text: 'not over' } })
  const refused = await call(`/v1/jobs/${open.id}/retry`, { method: 'POST' })
  expect(refused.status).toBe(409)
  const problem: unknown = await refused.json()
  expect(wrong('Problem', problem)).toBeNull()
  expect(problem).toMatchObject({ code: 'not_retryable' })
  await service.client.cancel(open.id)
})

test('the plain page shows every operation, with nothing that its own policy would stop', async () => {
  const answer = await fetch(`${service.url}/docs/plain`)
  expect(answer.headers.get('content-type')).toContain('text/html')
  expect(answer.headers.get('content-security-policy')).toContain("script-src 'self'")
  const page = await answer.text()
  for (const [path, item] of Object.entries(document.paths)) {
    expect(page).toContain(`<code>${path}</code>`)
    for (const method of METHODS) if (item[method]) expect(page).toContain(`id="${item[method].operationId}"`)
  }
  expect(page).not.toMatch(/<script|<style|style=|https?:\/\/|\sundefined|\[object/)
  for (const [, anchor] of page.matchAll(/href="#(\w+)"/g)) expect(page).toContain(`id="${anchor}"`)
  const style = await fetch(service.url + (/<link rel="stylesheet" href="([^"]+)"/.exec(page)?.[1] ?? ''))
  expect(style.headers.get('content-type')).toContain('text/css')
})
