import { existsSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { auditReport, simulatorBooks } from '../support/audit.ts'
import { finished, inPhase } from '../support/finished.ts'
import { PATIENT_TIMINGS } from '../support/short-timings.ts'
import { aboutPrediction, sendWebhook, signerOf } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** DELETE of jobs: everything that was kept for one goes, what it cost and its batch's counts stay. */

const dataDir = tempDir()
let service: TestService

beforeAll(async () => {
  service = await startService({ timings: PATIENT_TIMINGS, simulator: { speed: 50 }, env: { DATA_DIR: dataDir } })
})
afterAll(() => service.stop())
afterEach(async () => {
  await fetch(`${service.simulator.url}/_sim/faults`, { method: 'DELETE' })
})

const ask = async (method: string, path: string, key = TEST_KEY): Promise<{ status: number; code?: string }> => {
  const answer = await fetch(new URL(path, service.url), { method, headers: { authorization: `Bearer ${key}` } })
  const text = await answer.text()
  return { status: answer.status, ...(answer.ok ? {} : { code: JSON.parse(text).code }) }
}
const remove = (id: string) => ask('DELETE', `/v1/jobs/${id}`)
const picture = (prompt: string) => ({ preset: 'training-image', input: { prompt } })

/** Every key of Redis that holds the id, in its name or in what it says; but for the ledger and the batch's list. */
async function tracesOf(id: string): Promise<string[]> {
  const { redis, keys } = service
  const found: string[] = []
  for (const key of await redis.keys(`${keys.tag}*`)) {
    const type = await redis.type(key)
    const content =
      type === 'hash'
        ? await redis.hgetall(key)
        : type === 'zset'
          ? await redis.zrange(key, 0, '-1')
          : type === 'set'
            ? await redis.smembers(key)
            : type === 'string'
              ? await redis.get(key)
              : null
    if ((key + JSON.stringify(content)).includes(id)) found.push(key.slice(keys.tag.length + 1))
  }
  return found
}

async function expectWhole(): Promise<void> {
  const { redis, keys } = service
  const upstream = await simulatorBooks(service)
  const { findings } = await auditReport({ redis, keys, upstream })
  expect(findings).toEqual([])
}

describe('a finished job', () => {
  test('is deleted once, with its files and every reference; its cost stays', async () => {
    const before = await service.client.credits()
    const { id } = await service.client.submit(picture('to be deleted'), { idempotencyKey: 'delete-me' })
    const job = await finished(service, id)
    expect(job.artifacts).toHaveLength(1)
    expect(existsSync(join(dataDir, 'artifacts', job.tenant, id))).toBe(true)
    const { captured } = await service.client.credits()
    expect(captured - before.captured).toBe(32_000)

    await service.client.delete(id)
    expect(existsSync(join(dataDir, 'artifacts', job.tenant, id))).toBe(false)
    expect(await tracesOf(id)).toEqual([])
    for (const path of [`/v1/jobs/${id}`, `/v1/jobs/${id}/events`, `/v1/artifacts/${job.artifacts[0]?.id}`])
      expect(await ask('GET', path)).toEqual({ status: 404, code: 'not_found' })
    expect(await remove(id)).toEqual({ status: 404, code: 'not_found' })
    expect((await service.client.list({ limit: 100 })).data.map((one) => one.id)).not.toContain(id)
    expect((await service.client.credits()).captured).toBe(captured)
    const { data: entries } = await service.client.ledger({ limit: 10 })
    expect(entries.filter((entry) => entry.job === id).map(({ kind }) => kind)).toEqual(['capture', 'hold'])
    await expectWhole()

    const again = await service.client.submit(picture('to be deleted'), { idempotencyKey: 'delete-me' })
    expect(again.id).not.toBe(id)
    await finished(service, again.id)
  })

  test('goes with the files of its input, unless another job has them too', async () => {
    const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: { r: 1, g: 2, b: 3 } } })
      .png()
      .toBuffer()
    const { id } = await service.client.submit({
      preset: 'restore-image',
      input: { input_image: `data:image/png;base64,${png.toString('base64')}` },
    })
    const { input } = await finished(service, id)
    const file = String(input?.['input_image'])
    const other = await service.client.submit({ preset: 'restore-image', input: { input_image: file } })
    await finished(service, other.id)
    await service.client.delete(id)
    expect((await ask('GET', file)).status).toBe(200)
    await service.client.delete(other.id)
    expect(await ask('GET', file)).toEqual({ status: 404, code: 'not_found' })
    await expectWhole()
  })

  test('goes when it failed or was canceled, too', async () => {
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no luck' } } })
    const failed = await service.client.submit(picture('fails'))
    expect((await finished(service, failed.id)).status).toBe('failed')
    expect(await remove(failed.id)).toEqual({ status: 204 })
    await service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const { id } = await service.client.submit(picture('canceled'))
    await inPhase(service, id, 'created')
    await service.client.cancel(id)
    await finished(service, id)
    await waitFor('its prediction to be closed', async () => (await remove(id)).status === 204)
    expect(await tracesOf(id)).toEqual([])
    await expectWhole()
  })

  test('is unknown to late webhooks and listings', async () => {
    const { id } = await service.client.submit(picture('late news'))
    const job = await finished(service, id)
    await service.client.delete(id)
    const { sign, tokens } = await signerOf(service)
    const late = aboutPrediction({ prediction_id: job.prediction_id ?? '' }, 'succeeded', {
      output: ['https://example.com/a.png'],
    })
    expect(await sendWebhook(sign(tokens.url(id, 1), late))).toBe(200)
    expect(await ask('GET', `/v1/jobs/${id}`)).toMatchObject({ status: 404 })
    expect(await service.redis.xlen(service.keys.deadLetters)).toBe(0)
    await expectWhole()
  })
})

describe('is refused', () => {
  test('while the job is not over, and while its prediction is being stopped', async () => {
    await service.simulator.faults({
      predictions: { starting_forever: { next: 1 } },
      cancel: { status: { code: 500 } },
    })
    const { id } = await service.client.submit(picture('not over'))
    await inPhase(service, id, 'created')
    expect(await remove(id)).toEqual({ status: 409, code: 'not_deletable' })
    await service.client.cancel(id)
    expect(await remove(id)).toEqual({ status: 409, code: 'not_deletable' })
    // The job ends without upstream's word; its prediction does not.
    expect((await finished(service, id)).error?.billed).toBe('unknown')
    expect(await remove(id)).toEqual({ status: 409, code: 'not_deletable' })
    await service.simulator.faults({ cancel: null })
    await waitFor('the prediction to be stopped', async () => (await remove(id)).status === 204)
    await expectWhole()
  })

  test('until its receivers are known, and not while a notification carries it', async () => {
    const { id } = await service.client.submit(picture('notified'))
    await finished(service, id)
    const outbox = service.keys.outbox(id)
    const notice = { v: 2, kind: 'notice', id: '01KGX5Q8Z2V7M4N6P9R3S5T8W1', type: 'job.succeeded' }
    await service.redis.hset(outbox, `notice:${notice.id}`, JSON.stringify(notice))
    expect(await remove(id)).toEqual({ status: 409, code: 'not_deletable' })
    await service.redis.hdel(outbox, `notice:${notice.id}`)
    await service.redis.hset(outbox, 'carry:ntf_1', JSON.stringify({ v: 2, kind: 'carry', notification: 'ntf_1' }))
    expect((await remove(id)).status).toBe(204)
    expect(await service.redis.exists(outbox)).toBe(0)
    await expectWhole()
  })

  test('of what does not exist, is of another tenant, or without the right to write', async () => {
    const { id } = await service.client.submit(picture('mine'))
    await finished(service, id)
    const admin = async (path: string, body: object): Promise<{ key: string }> => {
      const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' }
      const answer = await fetch(`${service.url}/v1/admin/tenants${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      })
      return (await answer.json()) as { key: string }
    }
    await admin('', { id: 'stranger' })
    const { key: stranger } = await admin('/stranger/keys', {})
    const { key: reader } = await admin('/default/keys', { scopes: ['jobs:read'] })
    expect(await ask('DELETE', `/v1/jobs/${id}`, stranger)).toEqual({ status: 404, code: 'not_found' })
    expect((await ask('DELETE', `/v1/jobs/${id}`, reader)).status).toBe(403)
    expect(await remove('job_01ARZ3NDEKTSV4RRFFQ69G5FAV')).toEqual({ status: 404, code: 'not_found' })
    expect(await remove('nonsense')).toEqual({ status: 404, code: 'not_found' })
    expect((await service.client.get(id)).status).toBe('succeeded')
  })
})

test('a batch keeps its counts when its jobs are deleted, and the remaining jobs continue', async () => {
  const { client } = service
  await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no luck' } } })
  const batch = await client.batch({
    preset: 'training-image',
    items: [0, 1, 2, 3].map((n) => picture(`set ${n}`)),
  })
  const over = await waitFor('the batch to end', async () => {
    const now = await client.getBatch(batch.id)
    return now.completed_at !== null && now
  })
  expect(over.counts).toMatchObject({ total: 4, succeeded: 3, failed: 1 })
  const { data } = await client.batchJobs(batch.id)
  for (const { id } of data.slice(0, 2)) await client.delete(id)
  expect(await client.getBatch(batch.id)).toEqual(over)
  const left = data.slice(2).map(({ id }: Job) => id)
  expect((await client.batchJobs(batch.id)).data.map(({ id }) => id)).toEqual(left)
  const lines = await client.batchManifest(batch.id)
  expect(lines.map(({ job }) => job)).toEqual(left)
  await expectWhole()
  for (const id of left) await client.delete(id)
  expect(await client.getBatch(batch.id)).toEqual(over)
  expect((await client.batchJobs(batch.id)).data).toEqual([])
  await expectWhole()
})
