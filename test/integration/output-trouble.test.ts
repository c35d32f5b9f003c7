import { createHash } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { AT_RISK_MS } from '../../src/shared/jobs/ports.ts'
import { finished, inPhase } from '../support/finished.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, jobWithPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** Outputs cannot be copied, or are dangerous. Numbers are those of docs/failure-modes.md's list of tests. */

const STORE_DEADLINE = 3000
const RISKY_AFTER = 1200

let service: TestService
const dataDir = tempDir()
const artifacts = join(dataDir, 'artifacts')
const log: string[] = []
beforeAll(async () => {
  service = await startService({
    timings: { ...SHORT_TIMINGS, storeDeadline: STORE_DEADLINE, outputLifetime: AT_RISK_MS + RISKY_AFTER },
    simulator: { speed: 20 },
    env: { DATA_DIR: dataDir, LOG_LEVEL: 'info' },
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
  const response = await fetch(service.url + artifact?.url)
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(artifact?.sha256)
  expect(bytes.length).toBe(artifact?.bytes)
}

const lost = (words: RegExp): object => ({
  status: 'failed',
  error: { code: 'output_not_stored', billed: 'yes', message: expect.stringMatching(words) },
})

describe('F32 an output that has expired fails the job, which was paid', () => {
  test('when its file is gone, at once', async () => {
    await service.simulator.faults({ files: { status: { code: 404 } } })
    const { id } = await submit('F32 404')
    expect(await finished(service, id, 2500)).toMatchObject(lost(/answered 404.*At Replicate until .*http/))
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
    expect((await inPhase(service, id, 'storing')).status).toBe('processing')
    expect(await finished(service, id)).toMatchObject(lost(/answered 403.*At Replicate until .*http/))
    const tries = log.filter((line) => line.includes(id) && line.includes('not stored yet'))
    expect(tries.length).toBeGreaterThan(2)
  })
})

test('F42 while the disk takes nothing no part of a file is visible, creation rests, and all goes on when it does', async () => {
  const { id: before } = await submit('F42 before')
  await finished(service, before)
  // Its output comes when the disk takes nothing any more.
  await service.simulator.faults({ files: { delay: { seconds: 1.5, next: 1 } } })
  const { id: first } = await submit('F42 first')
  await inPhase(service, first, 'storing')
  // In the way of every write, whoever makes it: permissions would not stop root.
  rmSync(artifacts, { recursive: true })
  writeFileSync(artifacts, 'in the way')
  const { id: second } = await waitFor('creation to rest', async () => {
    const job = await submit('F42 second')
    const waits = await waitFor('a state', async () => {
      const now = await service.client.get(job.id)
      return (now.waiting_for?.reason === 'storage' && now) || (now.phase !== 'queued' && 'created')
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
  await expect(service.client.upload(new Blob(['a text'], { type: 'text/plain' }))).rejects.toMatchObject({
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
  await service.simulator.faults({ files: { status: { code: 503 } } })
  const from = log.length
  const said = (words: string): number => log.slice(from).filter((line) => line.includes(words)).length
  const jobs = [await submit('at risk 1'), await submit('at risk 2')]
  await waitFor('both to be at risk', async () => (await atRisk()) === 2)
  await waitFor('the alarm', () => said('are not copied yet') > 0)
  await service.simulator.faults({ files: null })
  for (const { id } of jobs) expect((await finished(service, id)).status).toBe('succeeded')
  expect(await atRisk()).toBe(0)
  await waitFor('the end of the alarm', () => said('No output is at risk any more') > 0)
  expect([said('are not copied yet'), said('No output is at risk any more')]).toEqual([1, 1])
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
    const response = await fetch(service.url + path, { headers })
    expect(await response.text()).toBe(text)
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="[\w.-]+"$/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    expect(response.headers.get('content-type')).not.toMatch(/html|svg/)
  }
})
