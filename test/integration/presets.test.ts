import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Job, Preset, Problem } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { freePort } from '../support/free-port.ts'
import { freshPrefix } from '../support/redis.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { startProcesses } from '../support/start-processes.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

const SCHNELL = 'black-forest-labs/flux-schnell'
const PICTURE =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAEUlEQVQImWNY1VGOFTEMLQkAkO9qQSaiGbMAAAAASUVORK5CYII='
const SOUND = 'data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='

interface Answer<T> {
  status: number
  headers: Headers
  body: T
}

async function call<T>(
  url: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const response = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as T }
}

/** As the job shows it: a data URI has become a file. */
const shown = (input: Job['input']): object =>
  Object.fromEntries(
    Object.entries(input ?? {}).map(([name, value]) => [
      name,
      String(value).startsWith('data:') ? (expect.stringMatching(/^\/v1\/uploads\/upl_/) as unknown) : value,
    ]),
  )

/** The pointers and codes of what is wrong. */
async function refusal(url: string, body: unknown): Promise<string[]> {
  const { status, body: problem } = await call<Problem>(url, '/v1/jobs', body)
  expect([status, problem.code]).toEqual([422, 'invalid_request'])
  return (problem.errors ?? []).map(({ pointer, code }) => `${pointer} ${code}`).sort()
}

describe('with the presets that come with genqueue', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startService({ simulator: { speed: 200 } })
  })
  afterAll(() => service.stop())

  const made: [preset: string, input: Job['input'], check: (job: Job) => void][] = [
    ['story-page', { prompt: 'a fox that cannot sleep' }, ({ artifacts }) => expect(artifacts).toHaveLength(1)],
    ['training-image', { prompt: 'TOK riding a bicycle' }, ({ artifacts }) => expect(artifacts).toHaveLength(1)],
    ['restore-image', { input_image: PICTURE, seed: 7 }, ({ artifacts }) => expect(artifacts).toHaveLength(1)],
    ['lip-sync', { image: PICTURE, audio: SOUND }, ({ artifacts }) => expect(artifacts).toHaveLength(1)],
    ['video-outline', { prompt: 'Tides, for children' }, ({ output }) => expect(output).toBeTypeOf('string')],
    ['video-titles', { prompt: 'Tides, for children' }, ({ output }) => expect(output).toBeTypeOf('string')],
    ['video-script', { prompt: 'Tides, for children' }, ({ output }) => expect(output).toBeTypeOf('string')],
  ]

  test.each(made)('%s produces its output from its own model and input', async (name, input, check) => {
    const { body: preset } = await call<Preset>(service.url, `/v1/presets/${name}`)
    const { status, body } = await call<Job>(service.url, '/v1/jobs', { preset: name, input })
    expect([status, body]).toMatchObject([
      202,
      {
        preset: name,
        model: preset.model,
        input: { ...preset.defaults, ...shown(input), ...preset.fixed },
        timeout: preset.timeout,
        webhook_events: preset.webhook_events,
        store: 'copy',
      },
    ])
    const job = await finished(service, body.id)
    // Its metrics include all that the price needs.
    expect(job).toMatchObject({ status: 'succeeded', cost: { estimate: preset.estimate, estimated: false } })
    expect(job.cost?.captured).toBeGreaterThan(0)
    check(job)
  })

  test('all are listed, each as it is returned alone', async () => {
    const { status, body } = await call<{ data: Preset[]; next_cursor: null }>(service.url, '/v1/presets')
    expect([status, body.next_cursor, body.data.map(({ name }) => name)]).toEqual([
      200,
      null,
      made.map(([name]) => name).sort(),
    ])
    const page = body.data.find(({ name }) => name === 'story-page')
    expect(page).toMatchObject({
      model: SCHNELL,
      input_schema: { type: 'object', required: ['prompt'], additionalProperties: false },
      estimate: 3000,
      policy_overrides: ['start_within'],
    })
    expect(Object.keys((page?.input_schema?.properties ?? {}) as object).sort()).toEqual(
      [...(page?.overrides ?? [])].sort(),
    )
    expect((await call<Preset>(service.url, '/v1/presets/story-page')).body.input_schema).toEqual(page?.input_schema)
    const unknown = await call<Problem>(service.url, '/v1/presets/poster')
    expect([unknown.status, unknown.body.code]).toEqual([404, 'preset_not_found'])
  })

  test('the expected duration appears after enough runs', async () => {
    const submit = (seed: number) => service.client.submit({ preset: 'story-page', input: { prompt: 'x', seed } })
    for (const { id } of await Promise.all([1, 2, 3, 4, 5].map(submit))) await finished(service, id)
    const { run_time } = (await call<Preset>(service.url, '/v1/presets/story-page')).body
    expect(run_time?.p50).toBeTypeOf('number')
    expect(run_time?.p90).toBeGreaterThanOrEqual(run_time?.p50 ?? Number.NaN)
  })

  test('invalid input is reported at once, by its path, and nothing is queued or created for it', async () => {
    const created = async (): Promise<number> => (await service.simulator.books()).counts.create_requests
    const count = async (): Promise<number> => (await service.client.list({ limit: 100 })).data.length
    const before = [await created(), await count()]
    const url = service.url
    expect(
      await refusal(url, {
        preset: 'story-page',
        input: { promt: 'x', num_outputs: 4, seed: 'x', aspect_ratio: '2:1', output_quality: 101 },
        timeout: 100,
        store: 'none',
      }),
    ).toEqual([
      '/input/aspect_ratio invalid_value',
      '/input/num_outputs not_allowed',
      '/input/output_quality too_big',
      '/input/prompt required',
      '/input/promt unknown_field',
      '/input/seed invalid_type',
      '/store not_allowed',
      '/timeout not_allowed',
    ])
    expect(await refusal(url, { preset: 'restore-image', input: { input_image: 'old.jpg' } })).toEqual([
      '/input/input_image invalid_format',
    ])
    expect(await refusal(url, { preset: 'poster', input: {} })).toEqual(['/preset unknown_preset'])
    expect(await refusal(url, { preset: 'story-page', model: SCHNELL, input: { prompt: 'x' } })).toEqual([
      ' exactly_one_of',
    ])
    expect([await created(), await count()]).toEqual(before)
  })

  test('a job says what the preset leaves to it', async () => {
    const { id } = await service.client.submit({ preset: 'story-page', input: { prompt: 'x' }, start_within: 30 })
    expect(await service.client.get(id)).toMatchObject({ start_within: 30, timeout: 60 })
    await finished(service, id)
  })

  test('a model that is called by its name is checked too, and what it does not know is left to upstream', async () => {
    const body = (input: object) => ({ model: SCHNELL, input })
    expect(await refusal(service.url, body({ num_outputs: 9, aspect_ratio: 'x' }))).toEqual([
      '/input/aspect_ratio invalid_value',
      '/input/num_outputs too_big',
      '/input/prompt required',
    ])
    const { id } = await service.client.submit({ model: SCHNELL, input: { prompt: 'x', unheard_of: true } })
    expect((await finished(service, id)).status).toBe('succeeded')
  })

  test('metrics count the presets whose model has changed', async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    expect(text).toMatch(/^genqueue_preset_schema_drift 0$/m)
  })
})

describe('when only presets are allowed', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startService({ env: { ALLOW_RAW_MODELS: 'false' } })
  })
  afterAll(() => service.stop())

  test.each([{ model: SCHNELL }, { version: 'a'.repeat(64) }, { deployment: 'acme/flux-fast' }])(
    '%j is refused',
    async (target) => {
      const { status, body } = await call<Problem>(service.url, '/v1/jobs', { ...target, input: { prompt: 'x' } })
      expect([status, body.code]).toEqual([403, 'raw_models_disabled'])
    },
  )

  test('presets make jobs', async () => {
    const { id } = await service.client.submit({ preset: 'story-page', input: { prompt: 'x' } })
    expect((await finished(service, id)).status).toBe('succeeded')
  })
})

const poster = (change = ''): string =>
  `name: poster\ntitle: Poster\nmodel: ${SCHNELL}\ninput: { overrides: [prompt] }\n${change}` +
  'schema: { required: [prompt], properties: { prompt: { type: string } } }\n'

test('a job of a model is not retried once only presets are allowed', async () => {
  const keys = { KEY_PREFIX: freshPrefix() }
  const before = await startService({ env: keys })
  const raw = await before.client.submit({ model: SCHNELL, input: { prompt: 'x' } })
  await finished(before, raw.id)
  await before.simulator.faults({ create: { status: { code: 422 } } })
  const batch = await before.client.batch({ items: [{ model: SCHNELL, input: { prompt: 'y' } }] })
  await before.client.waitBatch(batch.id)
  await before.stop()
  const folder = tempDir()
  writeFileSync(join(folder, 'poster.yaml'), poster(`serves: [${SCHNELL}]\n`))
  const after = await startService({ env: { ...keys, RAW_MODELS: 'presets', PRESETS_DIR: folder } })
  for (const path of [`/v1/jobs/${raw.id}/retry`, `/v1/batches/${batch.id}/retry-failed`]) {
    const { status, body } = await call<Problem>(after.url, path, {})
    expect([path, status, body.code]).toEqual([path, 403, 'raw_models_disabled'])
  }
  // A new one runs under the preset that serves its model.
  const served = await call<Job>(after.url, '/v1/jobs', { model: SCHNELL, input: { prompt: 'z' } })
  expect([served.status, served.body]).toMatchObject([202, { preset: 'poster', model: SCHNELL }])
  const items = [{ model: SCHNELL, input: { prompt: 'z' } }]
  const { id } = await after.client.batch({ items })
  expect((await after.client.batchJobs(id)).data).toMatchObject([{ preset: 'poster' }])
  expect(await refusal(after.url, { model: SCHNELL, input: { prompt: 'z' }, timeout: 7 })).toEqual([
    '/timeout not_allowed',
  ])
  await after.stop()
})

describe('B15: an input that names a webhook', () => {
  const HOOKED = {
    models: [
      {
        name: 'acme/hooked',
        output: { kind: 'string' as const, template: 'done' },
        run_seconds: 0.1,
        input_schema: {
          type: 'object' as const,
          properties: {
            text: { type: 'string' },
            webhook: { type: 'string' },
            webhook_events_filter: { type: 'array' },
          },
        },
      },
    ],
  }
  const INPUT = { text: 'x', webhook: 'https://evil.example/', webhook_events_filter: ['logs'] }

  test('stays within the input, by model and by preset', async () => {
    const folder = tempDir()
    writeFileSync(
      join(folder, 'hooked.yaml'),
      'name: hooked\ntitle: Hooked\nmodel: acme/hooked\nschema: model\ninput: { overrides: [text, webhook, webhook_events_filter] }',
    )
    const service = await startService({ simulator: { models: HOOKED }, env: { PRESETS_DIR: folder } })
    try {
      for (const target of [{ model: 'acme/hooked' }, { preset: 'hooked' }]) {
        const { id } = await service.client.submit({ ...target, input: INPUT })
        const job = await finished(service, id)
        expect(job).toMatchObject({ status: 'succeeded', input: INPUT })
        const prediction = await fetch(`${service.simulator.apiUrl}/predictions/${job.prediction_id}`, {
          headers: { authorization: 'Bearer test' },
        })
        expect(await prediction.json()).toMatchObject({
          input: INPUT,
          webhook: expect.stringMatching(`^${service.url}/webhooks/replicate\\?job=${id}&`),
        })
      }
    } finally {
      await service.stop()
    }
  })
})

describe('the files', () => {
  test('stop the start when one is wrong, with every mistake', async () => {
    const folder = tempDir()
    mkdirSync(join(folder, 'presets'))
    writeFileSync(join(folder, 'presets', 'poster.yaml'), poster('policies: { timeout: 3 }\nprise: 1\n'))
    writeFileSync(join(folder, 'presets', 'other.yaml'), 'name: [')
    const service = spawnNode(join(import.meta.dirname, '../../src/main.ts'), [], {
      cwd: folder,
      env: { PORT: String(await freePort()), SIMULATOR_PORT: '0', PRESETS_DIR: 'presets' },
    })
    expect((await service.exited).code).toBe(1)
    expect(service.stderr).toMatch(/could not start\. Invalid presets:\n {2}other\.yaml: not YAML/)
    expect(service.stderr).toMatch(/\n {2}poster\.yaml: \/policies\/timeout: read 3\. Expected 5 or more\./)
    expect(service.stderr).toMatch(/\n {2}poster\.yaml: \/prise: read 1\. Unknown field/)
  })

  test('are read again on SIGHUP; jobs and their repetitions stay what they were', async () => {
    const folder = tempDir()
    const file = join(folder, 'poster.yaml')
    writeFileSync(file, poster())
    const fleet = await startProcesses({ apis: 1, workers: 0, env: { PRESETS_DIR: folder } })
    const url = fleet.urls[0] ?? ''
    const reload = async (expected: RegExp): Promise<void> => {
      const api = fleet.apis[0]
      const seen = api?.stdout.length ?? 0
      api?.signal('SIGHUP')
      await waitFor(String(expected), () => expected.test(api?.stdout.slice(seen) ?? ''))
    }
    const titles = async (): Promise<string[]> =>
      (await call<{ data: Preset[] }>(url, '/v1/presets')).body.data.map(({ title }) => title)
    const submit = (key: string, input: object) =>
      call<Job>(url, '/v1/jobs', { preset: 'poster', input }, { 'idempotency-key': key })
    try {
      const first = await submit('order-1', { prompt: 'x' })
      expect(first.status).toBe(202)

      writeFileSync(file, poster('policies: { timeout: 3 }\n'))
      await reload(/the previous ones stay in use/)
      expect(await titles()).toEqual(['Poster'])
      expect((await submit('order-2', { prompt: 'x' })).status).toBe(202)

      writeFileSync(file, poster('policies: { timeout: 33 }\n').replaceAll('prompt', 'text').replace('Poster', 'New'))
      await reload(/presets reloaded/)
      expect(await titles()).toEqual(['New'])
      expect(await refusal(url, { preset: 'poster', input: { prompt: 'x' } })).toEqual([
        '/input/prompt unknown_field',
        '/input/text required',
      ])
      const again = await submit('order-1', { prompt: 'x' })
      expect([again.status, again.body.id, again.headers.get('idempotent-replayed')]).toEqual([
        202,
        first.body.id,
        'true',
      ])
      expect(again.body).toMatchObject({ preset: 'poster', input: { prompt: 'x' }, timeout: 600 })
      expect((await submit('order-3', { text: 'x' })).body).toMatchObject({ timeout: 33 })

      rmSync(file)
      await reload(/presets reloaded/)
      expect(await titles()).toEqual([])
      expect(await refusal(url, { preset: 'poster', input: { text: 'x' } })).toEqual(['/preset unknown_preset'])
    } finally {
      await fleet.stop()
    }
  })
})
