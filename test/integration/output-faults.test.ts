import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { finished, inPhase } from '../support/finished.ts'
import type { Timings } from '../../src/shared/jobs/rules/timings.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, jobWithPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** The host of outputs is broken or evil: what is taken is capped, nothing else is asked, and what passes is made good. */

const MAX_BYTES = 400_000

const log: string[] = []
/** A server of this machine that must receive no request. */
let inside: string
let askedInside = 0
const server = createServer((_request, response) => {
  askedInside++
  response.end('secret')
})

const start = (dataDir: string, timings: Partial<Timings>): Promise<TestService> =>
  startService({
    timings: { ...PATIENT_TIMINGS, ...timings },
    simulator: { speed: 50 },
    env: { DATA_DIR: dataDir, MAX_ARTIFACT_BYTES: String(MAX_BYTES), LOG_LEVEL: 'debug' },
    onLog: (line) => void log.push(line),
  })

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  inside = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => server.close())

const submit = ({ client }: TestService, prompt: string): Promise<Job> =>
  client.submit({ model: 'black-forest-labs/flux-schnell', input: { prompt, megapixels: '0.25' } })
const clearFaults = ({ simulator }: TestService): Promise<Response> =>
  fetch(`${simulator.url}/_sim/faults`, { method: 'DELETE' })
const triesOf = (id: string): string[] =>
  log.filter((line) => line.includes(id) && /not stored yet|could not be stored/.test(line))
const filesOf = (dataDir: string, id: string): string[] => {
  const folder = join(dataDir, 'artifacts', 'default', id)
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
    : []
}
const lost = (words: RegExp): object => ({
  status: 'failed',
  attempt: 1,
  artifacts: [],
  error: { code: 'output_not_stored', billed: 'yes', message: expect.stringMatching(words) },
})

describe('F44 an output is lost', () => {
  const dataDir = tempDir()
  let service: TestService
  beforeAll(async () => {
    const retryEffect = { min: 100, max: 300 }
    service = await start(dataDir, { storeDeadline: 2500, copyTimeout: 500, retryEffect })
  })
  afterAll(() => service.stop())
  afterEach(() => clearFaults(service))

  test.each<[what: string, fault: object, words: RegExp]>([
    ['that trickles', { slow: { seconds: 60 } }, /could not be copied.*At Replicate until .*http/],
    ['that is shorter than announced', { wrong_length: { by: 1000 } }, /could not be copied/],
    ['that breaks off', { cut: {} }, /could not be copied/],
    ['that redirects to the metadata of a cloud', { redirect: {} }, /responded with 302/],
  ])('%s, when it was tried until the deadline; no part is left', async (what, fault, words) => {
    await service.simulator.faults({ files: fault })
    const { id } = await submit(service, what)
    expect(await finished(service, id)).toMatchObject(lost(words))
    expect(triesOf(id).length).toBeGreaterThan(1)
    expect(filesOf(dataDir, id)).toEqual([])
  })

  test('that is a private address itself, at once, without a request to it', async () => {
    await service.simulator.faults({ webhooks: { drop: 1 }, predictions: { starting_forever: { probability: 1 } } })
    const { sign, tokens } = await signerOf(service)
    for (const output of [inside, [inside], { image: inside }, inside.replace('http:', 'https:')]) {
      const job = await jobWithPrediction(service, { model: 'black-forest-labs/flux-schnell', input: { prompt: 'x' } })
      expect(await sendWebhook(sign(tokens.url(job.id, 1), aboutPrediction(job, 'succeeded', { output })))).toBe(200)
      expect(await finished(service, job.id)).toMatchObject(lost(/not fetched: not https|not a public address/))
      expect(triesOf(job.id)).toHaveLength(1)
    }
    expect(askedInside).toBe(0)
  })
})

describe('F44 with time enough an output', () => {
  const dataDir = tempDir()
  let service: TestService
  beforeAll(async () => {
    service = await start(dataDir, { copyTimeout: 1500 })
  })
  afterAll(() => service.stop())
  afterEach(() => clearFaults(service))

  test.each<[what: string, fault: object]>([
    ['without end', { endless: {} }],
    ['that says to be too large', { wrong_length: { by: MAX_BYTES * 2 } }],
  ])('%s is lost as soon as more than allowed was taken: the next time it is as large', async (what, fault) => {
    await service.simulator.faults({ files: fault })
    const { id } = await submit(service, what)
    expect(await finished(service, id)).toMatchObject(lost(/larger than 400000 bytes.*At Replicate until .*http/))
    expect(triesOf(id).filter((line) => line.includes('larger than'))).toHaveLength(1)
    expect(filesOf(dataDir, id)).toEqual([])
  })

  test.each<[what: string, fault: object]>([
    ['trickled', { slow: { seconds: 60, next: 1 } }],
    ['broke off', { cut: { next: 2 } }],
    ['had a wrong length', { wrong_length: { by: 500, next: 1 } }],
    ['was answered 503', { status: { code: 503, next: 2 } }],
    ['was answered 403', { expired: { code: 403, next: 1 } }],
  ])('is stored whole, when it %s before', async (what, fault) => {
    await service.simulator.faults({ files: fault })
    const { id } = await submit(service, what)
    const job = await finished(service, id)
    expect(job.status).toBe('succeeded')
    expect(triesOf(id).length).toBeGreaterThan(0)
    const [artifact] = job.artifacts
    const bytes = Buffer.from(await (await fetch(artifact?.url ?? '')).arrayBuffer())
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact?.sha256)
    expect(artifact).toMatchObject({ bytes: bytes.length, width: 512 })
    expect(filesOf(dataDir, id)).toEqual(['0'])
  })

  test('of which one file is lost fails its job, and keeps the others', async () => {
    await service.simulator.faults({ files: { expired: { code: 404, next: 1 } } })
    const { id } = await service.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'two of them', num_outputs: 2, megapixels: '0.25' },
    })
    const job = await finished(service, id)
    expect(job).toMatchObject({
      status: 'failed',
      error: {
        code: 'output_not_stored',
        billed: 'yes',
        message: expect.stringMatching(
          /^1 of 2 files of the output could not be copied: .* responded with 404\. Not at Replicate: /,
        ),
      },
      output: [null, job.artifacts[0]?.url],
      artifacts: [{ id: expect.stringMatching(/_1_1$/), width: 512 }],
    })
    expect((await fetch(job.artifacts[0]?.url ?? '')).status).toBe(200)
    expect(triesOf(id)).toHaveLength(1)
  })

  test.each([302, 308])(
    'is taken from where it is, when a %i led to a private address before, without a request to that address',
    async (code) => {
      await service.simulator.faults({ files: { redirect: { to: inside, code, next: 2 } } })
      const { id } = await submit(service, `redirected by ${code}`)
      expect((await finished(service, id)).status).toBe('succeeded')
      expect(triesOf(id).length).toBeGreaterThan(1)
      expect(askedInside).toBe(0)
    },
  )

  test('has the type of its bytes, not the declared one; a page in its place is a download', async () => {
    await service.simulator.faults({ files: { wrong_type: { content_type: 'text/html' } } })
    const {
      artifacts: [picture],
    } = await finished(service, (await submit(service, 'wrong type')).id)
    expect(picture).toMatchObject({ media_type: 'image/webp', width: 512 })
    await service.simulator.faults({ files: { wrong_type: { page: true } } })
    const {
      artifacts: [page],
    } = await finished(service, (await submit(service, 'a page')).id)
    expect(page).toMatchObject({ media_type: 'application/octet-stream', width: null })
    const answer = await fetch(page?.url ?? '')
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(await answer.text()).toContain('<html>')
  })

  test('does not block: the api responds while all copies stall, and they complete later', async () => {
    await service.simulator.faults({ files: { delay: { seconds: 3600 } } })
    const jobs = await Promise.all(Array.from({ length: 12 }, (_, i) => submit(service, `stands still ${i}`)))
    for (const { id } of jobs) await inPhase(service, id, 'storing')
    const answer = await fetch(`${service.url}/v1/jobs`, { headers: { authorization: `Bearer ${TEST_KEY}` } })
    expect(answer.status).toBe(200)
    for (const { id } of jobs) expect((await service.client.get(id)).phase).toBe('storing')
    await service.simulator.faults({ files: null })
    for (const { id } of jobs) expect((await finished(service, id)).status).toBe('succeeded')
  })
})
