import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, BatchRequest, Job } from '../../src/client/types.ts'
import { genqueue } from '../support/genqueue.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * A story book: a cover and three pages. Its first product slept 12 s between pictures and needed 56 s for them, on an
 * account that may create 6 predictions a minute. Time runs faster here: the limit and the runs by the same factor.
 */

const FASTER = 10
const CREATES_PER_MINUTE = 6

const PAGES = [
  ['cover', 'A fox on the cover of a book, a lighthouse behind it'],
  ['page-1', 'The fox finds a boat on the beach'],
  ['page-2', 'The fox and a seagull sail at night'],
  ['page-3', 'The fox lights the lamp of the lighthouse'],
] as const

const items = PAGES.map(([page, prompt]) => ({ input: { prompt }, metadata: { page } }))
const story: BatchRequest = { preset: 'story-page', items, metadata: { story: 'the fox and the lighthouse' } }

const ms = (time: string | null): number => (time === null ? Number.NaN : Date.parse(time))

function expectStory(batch: Batch, jobs: readonly Job[]): void {
  expect(batch).toMatchObject({ status: 'succeeded', counts: { total: 4, succeeded: 4 }, cost: { captured: 12_000 } })
  expect(jobs.map(({ metadata }) => metadata.page)).toEqual(PAGES.map(([page]) => page))
  expect(jobs.map(({ input }) => input?.prompt)).toEqual(PAGES.map(([, prompt]) => prompt))
  for (const { artifacts } of jobs) expect(artifacts).toMatchObject([{ media_type: 'image/webp' }])
}

/**
 * How long the story takes on the product's own clock: the pauses of the limit, and what came on top of each - our own
 * work, which is not faster here, and the picture itself. One page begins after the other, as soon as the limit lets it.
 */
function paced(jobs: readonly Job[]): number {
  const pause = 60_000 / CREATES_PER_MINUTE
  let total = 0
  for (const [at, job] of jobs.entries()) {
    const before = jobs[at - 1]
    if (!before) continue
    const allowed = ms(before.submitted_at) + pause / FASTER
    expect(ms(job.submitted_at)).toBeGreaterThanOrEqual(ms(before.completed_at))
    expect(ms(job.submitted_at)).toBeGreaterThanOrEqual(allowed - 5)
    total += pause + ms(job.submitted_at) - allowed
  }
  const last = jobs.at(-1)
  const ran = Number(last?.metrics.predict_time)
  return (total + ms(last?.completed_at ?? null) - ms(last?.submitted_at ?? null)) / 1000 + ran * (FASTER - 1)
}

describe(`with ${CREATES_PER_MINUTE} creates a minute and no burst, in sequence`, () => {
  let service: TestService
  beforeAll(async () => {
    const perMinute = CREATES_PER_MINUTE * FASTER
    service = await startService({
      env: { REPLICATE_CREATES_PER_MINUTE: String(perMinute), REPLICATE_CREATE_BURST: '1' },
      simulator: { speed: FASTER, createsPerMinute: perMinute, burst: 2 },
    })
    return () => service.stop()
  })

  test('the four pictures follow each other at the pace of the limit, and Replicate refuses nothing', async () => {
    const { client } = service
    const { id } = await client.batch({ ...story, sequential: true })
    const seen: number[] = []
    const batch = await client.waitBatch(id, { onUpdate: ({ counts }) => seen.push(counts.succeeded) })
    const { data: jobs } = await client.batchJobs(id)
    expectStory(batch, jobs)
    const seconds = paced(jobs)
    expect(seconds).toBeGreaterThanOrEqual(30)
    // "Image ready!": each page is reported as it arrives.
    expect(seen).toEqual(expect.arrayContaining([1, 2, 3, 4]))
    const { counts } = await service.simulator.books()
    expect(counts).toMatchObject({ created: 4, create_requests: 4, throttled: 0 })
    process.stdout.write(`story, in sequence: ${seconds.toFixed(1)} s\n`)
  })

  test('the same by the command line, which saves the pictures', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'story.jsonl'), items.map((item) => `${JSON.stringify(item)}\n`).join(''))
    const args = ['batch', 'story.jsonl', '--preset', 'story-page', '--sequential', '--save', 'book', '--json']
    const { exit, stdout, stderr } = await genqueue(service, args, folder)
    expect(stderr).toBe('')
    expect(exit).toBe(0)
    const printed = JSON.parse(stdout) as Batch & { jobs: (Job & { saved: string[] })[] }
    expectStory(printed, printed.jobs)
    expect(paced(printed.jobs)).toBeGreaterThanOrEqual(30)
    for (const [at, { saved, artifacts }] of printed.jobs.entries()) {
      expect(saved).toEqual([`book/${printed.id}-${at + 1}.webp`])
      expect(readFileSync(join(folder, saved[0] ?? ''))).toHaveLength(artifacts[0]?.bytes ?? 0)
    }
  })
})

describe('with the full budget', () => {
  let service: TestService
  let upstream: TcpProxy
  beforeAll(async () => {
    service = await startService({
      simulator: { speed: FASTER },
      through: async (port) => {
        upstream = await startTcpProxy({ port })
        return upstream.port
      },
    })
    return () => service.stop()
  })
  afterAll(() => upstream.stop())

  test('all four are made side by side', async () => {
    const { client } = service
    // None is complete before its file can be fetched.
    await service.simulator.faults({ files: { status: { code: 503 } } })
    const { id } = await client.batch(story)
    await waitFor('all four to be made', async () =>
      (await client.batchJobs(id)).data.every(({ phase }) => phase === 'storing'),
    )
    await service.simulator.faults({ files: null })
    const batch = await client.waitBatch(id)
    expectStory(batch, (await client.batchJobs(id)).data)
    expect((await service.simulator.books()).counts).toMatchObject({ created: 4, throttled: 0 })
  })

  test('the submit answers while nothing upstream does', async () => {
    const before = (await service.simulator.books()).counts
    upstream.blackHole()
    const response = await fetch(`${service.url}/v1/batches`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(story),
    })
    const accepted = (await response.json()) as Batch
    expect(response.status).toBe(202)
    expect(response.headers.get('location')).toBe(`/v1/batches/${accepted.id}`)
    expect(accepted).toMatchObject({ status: 'running', counts: { total: 4, queued: 4 } })
    expect((await service.simulator.books()).counts).toEqual(before)
    await upstream.heal()
    const batch = await service.client.waitBatch(accepted.id)
    expectStory(batch, (await service.client.batchJobs(accepted.id)).data)
  })
})
