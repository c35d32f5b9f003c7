import { createHash } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { AT_RISK_MS } from '../../src/shared/jobs/ports.ts'
import { finished, inPhase } from '../support/finished.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, jobWithPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** Outputs cannot be copied, or are dangerous. Numbers are those of docs/failure-modes.md's list of tests. */

/** Long enough for what a test does before it, on a machine that does other work. */
const STORE_DEADLINE = 10_000
const RISKY_AFTER = 1200

const PAGE = { caption: 'A cat', tags: ['cat', 'dog'], source_url: 'http://example.com/page', score: 0.9 }
const URI = { type: 'string', format: 'uri' }

/** Models of which one does not know what they answer with. */
const own = (name: string, value: unknown, more: object = {}) => ({
  name: `acme/${name}`,
  run_seconds: 0.1,
  input_schema: { type: 'object' as const, properties: { at: { type: 'integer' } } },
  output: { kind: 'json' as const, value },
  ...more,
})
const OWN_MODELS = [
  own('words', ['cat', 'dog', 'bird']),
  own('page', PAGE),
  own('declared', PAGE, {
    output_schema: { type: 'object', properties: { source_url: URI, caption: { type: 'string' } } },
  }),
  own('long', 'long '.repeat(8000), { output_schema: { type: 'string' } }),
  own(
    'many',
    Array.from({ length: 9000 }, (_, i) => `word ${i}`),
  ),
  own('types', {
    notes: 'data:text/plain,hello',
    rows: 'data:text/csv;base64,YSxiCjEsMgo=',
    data: 'data:application/json,%7B%22a%22%3A1%7D',
    drawing: 'data:image/svg+xml,%3Csvg%20xmlns%3D%22http%3A%2F%2Fwww.w3.org%2F2000%2Fsvg%22%2F%3E',
    liar: 'data:image/png,hello',
    nothing: 'data:application/octet-stream;base64,AAAA',
  }),
  own('broken', { good: 'data:text/plain,hello', bad: 'data:image/png;base64,***' }),
  own('community', ['cat'], { official: false }),
]

let service: TestService
const dataDir = tempDir()
const artifacts = join(dataDir, 'artifacts')
const log: string[] = []
beforeAll(async () => {
  service = await startService({
    timings: { ...PATIENT_TIMINGS, storeDeadline: STORE_DEADLINE, outputLifetime: AT_RISK_MS + RISKY_AFTER },
    simulator: { speed: 20, models: { models: OWN_MODELS } },
    env: { DATA_DIR: dataDir, LOG_LEVEL: 'debug' },
    onLog: (line) => void log.push(line),
  })
})
afterAll(() => service.stop())
afterEach(async () => {
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
})

const picture = (prompt: string): JobRequest => ({
  model: 'black-forest-labs/flux-schnell',
  input: { prompt, megapixels: '0.25' },
})
const submit = (prompt: string): Promise<Job> => service.client.submit(picture(prompt))

/** The artifact as a customer gets it is the one that was recorded. */
async function expectWhole({ artifacts: [artifact] }: Job): Promise<void> {
  const response = await fetch(artifact?.url ?? '')
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact?.sha256)
  expect(bytes.length).toBe(artifact?.bytes)
}

const lost = (words: RegExp): object => ({
  status: 'failed',
  error: { code: 'output_not_stored', billed: 'yes', message: expect.stringMatching(words) },
})

/** Level and text of the log lines about a failing copy; none has a stack. */
const troubleOf = (id: string): [level: number, text: string][] =>
  log
    .filter((line) => line.includes(id) && /not stored yet|could not be stored|is stored;/.test(line))
    .map((line) => {
      const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: unknown }
      expect(err).toBeUndefined()
      return [level, msg]
    })

describe('F32 an output that has expired fails the job, which was paid', () => {
  test('when its file is gone, at once', async () => {
    await service.simulator.faults({ files: { status: { code: 404 } } })
    const { id } = await submit('F32 404')
    const job = await finished(service, id)
    expect(job).toMatchObject(lost(/responded with 404\. Not at Replicate: http\S+\. A retry .* is billed again\.$/))
    expect(troubleOf(id)).toEqual([[40, 'the output could not be stored']])
  })

  test('when Replicate has removed it before anybody asked', async () => {
    // Nobody hears of the end before an hour has passed.
    const away = { status: { code: 503 } }
    await service.simulator.faults({ webhooks: { drop: 1 }, get: away, list: away })
    const { id } = await submit('F32 removed')
    await waitFor('the end upstream', async () => {
      const row = (await service.simulator.books()).predictions.find(({ webhook }) => webhook?.includes(id))
      return row?.status === 'succeeded'
    })
    await service.simulator.advance(3700)
    await service.simulator.faults({ get: null, list: null })
    expect(await finished(service, id)).toMatchObject(lost(/removed the output/))
  })

  test('when its file is refused until the deadline of copying; until then it is tried again', async () => {
    await service.simulator.faults({ files: { status: { code: 403 } } })
    const { id } = await submit('F32 403')
    expect(await finished(service, id)).toMatchObject(lost(/responded with 403.*At Replicate until .*http/))
    const storing = (await service.client.history(id)).filter(({ phase }) => phase === 'storing')
    expect(storing).toMatchObject([{ status: 'processing' }])
    const [begun] = storing
    const job = await service.client.get(id)
    expect(Date.parse(job.completed_at ?? '') - Date.parse(begun?.at ?? '')).toBeGreaterThan(STORE_DEADLINE / 2)
    const [first, ...rest] = troubleOf(id)
    expect(first).toEqual([40, 'the output is not stored yet; retrying'])
    expect(rest.at(-1)).toEqual([40, 'the output could not be stored'])
    expect(rest.length).toBeGreaterThan(1)
    expect(rest.slice(0, -1).every(([level]) => level === 20)).toBe(true)
  })
})

test('F42 while the disk is full no part of a file is visible and creation pauses; all resumes afterwards', async () => {
  const { id: before } = await submit('F42 before')
  await finished(service, before)
  // Its output comes when the disk takes nothing any more.
  await service.simulator.faults({ files: { delay: { seconds: 5, next: 1 } } })
  const { id: first } = await submit('F42 first')
  await inPhase(service, first, 'storing')
  // Blocks every write: permissions would not stop root.
  rmSync(artifacts, { recursive: true })
  writeFileSync(artifacts, 'in the way')
  const { id: second } = await waitFor('creation to rest', async () => {
    const job = await submit('F42 second')
    const waits = await waitFor('a state', async () => {
      const now = await service.client.get(job.id)
      return now.phase === 'queued' ? now.waiting_for?.reason === 'storage' && now : 'created'
    })
    return waits !== 'created' && waits
  })
  const unready = await fetch(`${service.url}/readyz`)
  expect(unready.status).toBe(503)
  expect(await unready.json()).toMatchObject({
    checks: {
      storage: { ok: false, detail: expect.stringMatching(/cannot be written to .*DATA_DIR.*(ENOTDIR|EEXIST)/) },
    },
  })
  await waitFor('the copy to fail', async () => (await service.client.get(first)).waiting_for?.reason === 'storage')
  const once = createClient({ baseUrl: service.url, key: TEST_KEY, attempts: 1 })
  await expect(once.upload(new Blob(['a text'], { type: 'text/plain' }))).rejects.toMatchObject({
    code: 'storage_unavailable',
    status: 503,
  })
  expect(await finished(service, first)).toMatchObject(lost(/At Replicate until .*http/))
  rmSync(artifacts)
  const job = await finished(service, second)
  expect(job).toMatchObject({ status: 'succeeded' })
  await expectWhole(job)
  const { data } = await service.client.list({ limit: 100 })
  for (const { id } of data.filter(({ input }) => input?.['prompt'] === 'F42 second')) {
    expect(['succeeded', 'failed']).toContain((await finished(service, id)).status)
  }
  const files = readdirSync(artifacts, { recursive: true, encoding: 'utf8' })
  expect(files.filter((name) => name.endsWith('.part'))).toEqual([])
})

test('outputs that come close to their removal are counted and alarmed about once, until they are copied', async () => {
  const atRisk = async (): Promise<number> => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    return Number(/^genqueue_artifacts_at_risk (\S+)/m.exec(text)?.[1])
  }
  expect(await atRisk()).toBe(0)
  await service.redis.hset(service.keys.subscribed('default'), 'artifact.at_risk', '1')
  await service.simulator.faults({ files: { status: { code: 503 } } })
  const from = log.length
  const said = (words: string): number => log.slice(from).filter((line) => line.includes(words)).length
  const jobs = [await submit('at risk 1'), await submit('at risk 2')]
  await waitFor('both to be at risk', async () => (await atRisk()) === 2)
  await waitFor('the alarm', () => said('are not copied yet') > 0)
  // Which receivers are notified is tested elsewhere; each job owes it once.
  const warned = (id: string) => service.redis.hget(service.keys.job(id), 'owed_artifact.at_risk')
  for (const { id } of jobs) await waitFor('the warning', async () => (await warned(id)) === '1')
  await service.simulator.faults({ files: null })
  for (const { id } of jobs) expect((await finished(service, id)).status).toBe('succeeded')
  expect(await atRisk()).toBe(0)
  await waitFor('the end of the alarm', () => said('No output is at risk any more') > 0)
  expect([said('are not copied yet'), said('No output is at risk any more')]).toEqual([1, 1])
})

const run = async (name: string): Promise<Job> =>
  finished(service, (await service.client.submit({ model: `acme/${name}`, input: {} })).id)

describe('an output of an unknown model', () => {
  test.each([
    ['words', ['cat', 'dog', 'bird']],
    ['page', PAGE],
  ])('is what the model answered: %s', async (name, output) => {
    expect(await run(name)).toMatchObject({ status: 'succeeded', output, output_artifact: null, artifacts: [] })
  })

  test('has files where its schema says so; what can never be fetched fails it at once, and the rest stays', async () => {
    const job = await run('declared')
    expect(job).toMatchObject(lost(/^The output could not be copied: http:\/\/example\.com is not fetched: not https/))
    expect(job.artifacts).toEqual([])
  })

  test('keeps what can be kept of it when a data URI is broken', async () => {
    const job = await run('broken')
    expect(job).toMatchObject(lost(/^1 of 2 files of the output could not be copied: a data URI cannot be decoded/))
    expect(job.output).toEqual({ good: job.artifacts[0]?.url, bad: null })
    await expectWhole(job)
    expect(troubleOf(job.id)).toHaveLength(1)
  })

  test.each([
    ['long', 'text/plain; charset=utf-8'],
    ['many', 'application/json'],
  ])('that is too long for the record says which artifact holds it: %s', async (name, type) => {
    const job = await run(name)
    const [artifact] = job.artifacts
    expect(job).toMatchObject({ status: 'succeeded', output: artifact?.url, output_artifact: artifact?.id })
    expect(artifact?.media_type).toBe(type)
    await expectWhole(job)
  })

  test('has files of the types that are declared, where their bytes do not decide', async () => {
    const { artifacts: files } = await run('types')
    expect(files.map(({ media_type }) => media_type)).toEqual([
      'text/plain',
      'text/csv',
      'application/json',
      'image/svg+xml',
      'application/octet-stream',
      'application/octet-stream',
    ])
    const names = await Promise.all(files.map(async ({ url }) => (await fetch(url)).headers.get('content-disposition')))
    expect(names.map((name) => /\.(\w+)"/.exec(name ?? '')?.[1])).toEqual(['txt', 'csv', 'json', 'svg', 'bin', 'bin'])
  })

  test('runs by its newest version when the model is not official; one that is not there is a 422', async () => {
    const job = await run('community')
    expect(job).toMatchObject({ status: 'succeeded', model: null, output: ['cat'] })
    expect(job.version).toMatch(/^acme\/community:[0-9a-f]{64}$/)
    await expect(service.client.submit({ model: 'acme/nowhere', input: {} })).rejects.toMatchObject({
      status: 422,
      errors: [{ pointer: '/model', code: 'unknown_model' }],
    })
    await expect(service.client.submit({ deployment: 'acme/nowhere', input: {} })).rejects.toMatchObject({
      status: 422,
      errors: [{ pointer: '/deployment', code: 'unknown_deployment' }],
    })
  })
})

describe('an output that is being stored can be given up', () => {
  const storing = async (prompt: string): Promise<Job> => {
    await service.simulator.faults({ files: { status: { code: 503 } } })
    return inPhase(service, (await submit(prompt)).id, 'storing')
  }

  test('by a cancel: the job says that it was paid', async () => {
    const { id } = await storing('given up')
    expect(await service.client.cancel(id)).toMatchObject({
      status: 'canceled',
      error: { code: 'canceled', billed: 'yes', message: expect.stringContaining('output was being stored') },
    })
    await service.simulator.faults({ files: null })
    expect(await service.client.get(id)).toMatchObject({ status: 'canceled', artifacts: [] })
  })

  test('by deleting the job', async () => {
    const { id } = await storing('deleted')
    await service.client.delete(id)
    await expect(service.client.get(id)).rejects.toMatchObject({ status: 404 })
  })

  test('but the cancel of a batch waits for it', async () => {
    await service.simulator.faults({ files: { status: { code: 503 } } })
    const { id: batch } = await service.client.batch({ items: [picture('in a batch')] })
    const { id } = await waitFor('its job to be storing', async () => {
      const { data } = await service.client.batchJobs(batch)
      return data.find(({ phase }) => phase === 'storing')
    })
    await service.client.cancelBatch(batch)
    await service.simulator.faults({ files: null })
    expect((await finished(service, id)).status).toBe('succeeded')
  })
})

test.each([
  ['HTML', 'text/html', '<!doctype html><html><script>alert(1)</script></html>'],
  ['SVG', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
  ['XML', 'image/svg+xml', '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
])('an output of %s is stored as it is, and served as a download that runs nothing', async (_what, type, text) => {
  await service.simulator.faults({ webhooks: { drop: 1 }, predictions: { starting_forever: { probability: 1 } } })
  const job = await jobWithPrediction(service)
  const { sign, tokens } = await signerOf(service)
  const output = [`data:${type};base64,${Buffer.from(text).toString('base64')}`]
  expect(await sendWebhook(sign(tokens.url(job.id, 1), aboutPrediction(job, 'succeeded', { output })))).toBe(200)
  const {
    artifacts: [artifact],
    status,
  } = await finished(service, job.id)
  expect(status).toBe('succeeded')
  const ways: [string, Record<string, string>][] = [
    [artifact?.url ?? '', {}],
    [`/v1/artifacts/${artifact?.id}`, { authorization: `Bearer ${TEST_KEY}` }],
  ]
  for (const [path, headers] of ways) {
    const response = await fetch(new URL(path, service.url), { headers })
    expect(await response.text()).toBe(text)
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="[\w.-]+"$/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    expect(response.headers.get('content-type')).not.toMatch(/html|svg/)
  }
})
