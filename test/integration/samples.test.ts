import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { ulid } from 'ulid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OPERATIONS } from '../../src/api/description/document.ts'
import { CLIENT_SAMPLES, samplesOf, type Sample } from '../../src/api/description/samples.ts'
import type { Job } from '../../src/client/types.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import { findPython } from '../support/find-python.ts'
import { finished, inPhase } from '../support/finished.ts'
import { createOperator } from '../support/operator.ts'
import { noisyPicture } from '../support/picture.ts'
import { spawnProcess } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** The samples of the reference, against a running service. */

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
/** Follow a tenant, or all, until they are stopped. */
const ENDLESS = ['watchJobs', 'watchAllJobs', 'streamNotifications']
const LANGUAGES = ['Shell', 'TypeScript', 'Python'] as const
type Language = Sample['lang']

let service: TestService
let folder: string
/** What stands in the samples, and what takes its place, for all and for single operations. */
let everywhere: [from: string, to: string][]
let single: Record<Language, Record<string, [from: string, to: string]>>

const JOB = 'job_01KGX5Q8Z2V7M4N6P9R3S5T8W1'
const BATCH = 'bat_01KGX5QA3M8K2T6W9X4Y7Z1C5D'
const UPLOAD = 'upl_01KGX5QC7P4R8S2T6V9W3X5Y1Z'
const ARTIFACT = 'art_01KGX5Q8Z2V7M4N6P9R3S5T8W1_1_0'
const KEY_ID = '4fXb9QzL2mVk'
const ENDPOINT = 'ep_01KGX5QD2R7T3V6X9Z1B4D8F5H'
const NOTIFICATION = 'ntf_01KGX5QE5S8V2X4Z7B9D1F3H6K_01KGX5QD2R7T3V6X9Z1B4D8F5H'
/** Nothing listens there. */
const RECEIVER = 'http://127.0.0.1:9/hook'
const TENANT = 'story-app'
const BUDGET = 'bdg_01KGX5Q8Z2V7M4N6P9R3S5T8W1'

beforeAll(async () => {
  // Mail is accepted for sending; nothing listens there.
  const env = { UNPRICED_MODELS: 'allow', SMTP_URL: 'smtp://127.0.0.1:9', MAIL_FROM: 'studio@example.com' }
  service = await startService({ signInLink: true, simulator: { speed: 50 }, env })
  folder = tempDir()
  const { client } = service
  const operator = createOperator(service)
  const picture = await noisyPicture(64)
  writeFileSync(join(folder, 'photo.png'), picture)
  const request = { preset: 'story-page', input: { prompt: 'a fox' } }
  const final = async (): Promise<Job> => finished(service, (await client.submit(request)).id)
  const upload = async (): Promise<string> => (await client.upload(new Blob([picture], { type: 'image/png' }))).id

  // Before there is an endpoint: a job is deleted once its receivers are notified.
  const deletable = await Promise.all(LANGUAGES.map(final))
  const { redis, keys } = service
  const endpoints = createRedisEndpointStore({ redis, keys })
  const endpoint = async (url = RECEIVER): Promise<string> =>
    (await operator.ask<{ id: string }>('/v1/endpoints', { body: { url } })).body.id
  const budget = async (): Promise<string> => {
    const body = { scope: 'tenant', tenant: 'default', period: 'month', limit: 1_000_000_000, hard: false }
    return (await operator.ask<{ id: string }>('/v1/admin/budgets', { body })).body.id
  }
  const notified = async (): Promise<string> => {
    const id = `ntf_${ulid()}_own`
    await createRedisNotificationStore({ redis, keys, endpoints }).add({
      id,
      tenant: 'default',
      type: 'job.succeeded',
      endpoint: null,
      url: RECEIVER,
      destination: 'nothing',
      shape: 'thin',
      job: null,
      batch: null,
      data: {},
      created_at: Date.now(),
      state: 'pending',
    })
    return id
  }

  // For what needs a job that goes on.
  const open = LANGUAGES.length
  await service.simulator.faults({ predictions: { starting_forever: { next: 2 * open + 1 } } })
  // Longer than the tests take, however slow the machine is.
  const lasting = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'a fox' }, timeout: 1_800 }
  const jobs = await Promise.all(LANGUAGES.map(() => client.submit(lasting)))
  const batches = await Promise.all([...LANGUAGES, 'canceled'].map(() => client.batch({ items: [lasting] })))
  for (const { id } of jobs) await inPhase(service, id, 'created')
  for (const { id } of batches)
    await waitFor(`${id} to start`, async () => (await client.getBatch(id)).counts.starting === 1)
  const canceled = batches.at(-1)?.id ?? ''
  await client.cancelBatch(canceled)
  await client.waitBatch(canceled)

  const [job, tenant, stored] = await Promise.all([final(), operator.newTenant(), upload()])
  everywhere = [
    ['http://127.0.0.1:3000', service.url],
    [JOB, job.id],
    [ARTIFACT, job.artifacts[0]?.id ?? ''],
    [BATCH, canceled],
    [UPLOAD, stored],
    [NOTIFICATION, await notified()],
    [ENDPOINT, await endpoint()],
    [BUDGET, await budget()],
    ['https://shop.example.com/genqueue', RECEIVER],
    ['the code of the link', /code=(\w+)/.exec(service.signInUrl ?? '')?.[1] ?? ''],
  ]
  const own = async (language: Language, at: number): Promise<[Language, Record<string, [string, string]>]> => [
    language,
    {
      cancelJob: [JOB, jobs[at]?.id ?? ''],
      cancelBatch: [BATCH, batches[at]?.id ?? ''],
      deleteJob: [JOB, deletable[at]?.id ?? ''],
      deleteUpload: [UPLOAD, await upload()],
      removeBudget: [BUDGET, await budget()],
      deleteEndpoint: [ENDPOINT, await endpoint()],
      confirmEndpoint: [ENDPOINT, await endpoint(`mailto:${language.toLowerCase()}@example.com`)],
      revokeKey: [KEY_ID, (await operator.newKey(tenant)).id],
      rotateKey: [KEY_ID, (await operator.newKey(tenant)).id],
      // Creates the one of the samples, while others use one that exists.
      createTenant: [TENANT, TENANT],
    },
  ]
  everywhere.push([TENANT, tenant])
  single = Object.fromEntries(await Promise.all(LANGUAGES.map(own))) as typeof single
})
afterAll(() => service.stop())

/** Samples of a language by operation, with what exists here. */
const samples = (language: Language): [id: string, source: string][] =>
  Object.entries(OPERATIONS).flatMap(([id, operation]) =>
    samplesOf(id, operation)
      .filter(({ lang }) => lang === language)
      .map(({ source }): [string, string] => {
        const special = single[language][id]
        const replaced = [...(special ? [special] : []), ...everywhere]
        // Each name once: the tenant of `createTenant` stays.
        const done = new Set<string>()
        return [
          id,
          replaced.reduce((text, [from, to]) => {
            if (done.has(from)) return text
            done.add(from)
            return text.replaceAll(from, to)
          }, source),
        ]
      }),
  )

const settings = (): Record<string, string> => ({ KEY: TEST_KEY, PATH: process.env['PATH'] ?? '' })

test('every operation has a sample, and each sample an operation', () => {
  expect(Object.keys(CLIENT_SAMPLES).filter((id) => !(id in OPERATIONS))).toEqual([])
  const curled = samples('Shell').map(([id]) => id)
  expect(Object.keys(OPERATIONS).filter((id) => !curled.includes(id))).toEqual(['receiveWebhook'])
})

test('the samples for curl succeed', async () => {
  const lines = samples('Shell')
    .filter(([id]) => !ENDLESS.includes(id))
    .map(([id, source]) => `${source.replace(/^curl /, 'curl -sSf ')} >/dev/null || echo ${id} >&2`)
  const { stderr } = await run('sh', ['-c', lines.join('\n')], { cwd: folder, env: settings() })
  expect(stderr).toBe('')
})

test('the samples in TypeScript compile and run', async () => {
  const client = (name: string): string => `'${relative(folder, join(ROOT, 'src/client', name))}'`
  const files = samples('TypeScript').map(([id, source]) => {
    const text = source
      .replace("'@genqueue/client'", client('client.ts'))
      .replace("'@genqueue/client/node'", client('node.ts'))
    writeFileSync(join(folder, `${id}.ts`), `${text}\nexport {}\n`)
    return `${id}.ts`
  })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noEmit: true, typeRoots: [join(ROOT, 'node_modules/@types')], types: ['node'] },
    files,
    include: [],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
  const tsc = spawnProcess(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder])
  const all = files.filter((file) => !ENDLESS.some((id) => file === `${id}.ts`))
  const driver = `for (const file of ${JSON.stringify(all)})
    await import('./' + file).catch((error) => console.error(file, error))`
  writeFileSync(join(folder, 'all.mjs'), driver)
  const { stderr } = await run(process.execPath, ['all.mjs'], { cwd: folder, env: settings() })
  expect(stderr).toBe('')
  await tsc.exited
  expect(tsc.stdout).toBe('')
})

const python = await findPython()
if (python)
  test('the samples in Python run', async () => {
    const all = samples('Python').filter(([id]) => !ENDLESS.includes(id))
    const driver = `import json, sys, traceback
for id, source in json.load(open("samples.json")):
    try:
        exec(compile(source, id, "exec"), {})
    except Exception:
        print(id, traceback.format_exc(), file=sys.stderr)
`
    writeFileSync(join(folder, 'samples.json'), JSON.stringify(all))
    writeFileSync(join(folder, 'all.py'), driver)
    const { stderr } = await run(python.file, ['all.py'], {
      cwd: folder,
      env: { ...settings(), ...python.env, PYTHONPATH: join(ROOT, 'clients/python/src'), PYTHONDONTWRITEBYTECODE: '1' },
    })
    expect(stderr).toBe('')
  })
