import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startService, type TestService } from '../support/start-service.ts'
import { finished } from '../support/finished.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** What a preset decides about how its jobs run, against the whole service. */

let service: TestService
beforeAll(async () => {
  const presets = tempDir()
  const write = (name: string, policies: object): void =>
    writeFileSync(
      join(presets, `${name}.yaml`),
      JSON.stringify({
        name,
        title: name,
        description: 'For a test',
        model: 'black-forest-labs/flux-schnell',
        input: { overrides: ['prompt'] },
        schema: { required: ['prompt'], properties: { prompt: { type: 'string' } } },
        policies,
      }),
    )
  write('narrow', { in_flight_limit: 2 })
  write('linked', { store: 'none' })
  service = await startService({ env: { PRESETS_DIR: presets }, simulator: { speed: 5 } })
})
afterAll(() => service.stop())

test('a preset with a limit never has more in flight, and lets the next one in when one ends', async () => {
  const jobs = await Promise.all(
    Array.from({ length: 7 }, (_, i) => service.client.submit({ preset: 'narrow', input: { prompt: `narrow ${i}` } })),
  )
  const waiting = await waitFor('one to say that it waits for the others', async () => {
    const seen = await Promise.all(jobs.map(({ id }) => service.client.get(id)))
    return seen.find((job) => job.waiting_for?.reason === 'preset_limit')
  })
  expect(waiting.status).toBe('queued')
  const ended = await Promise.all(jobs.map(({ id }) => finished(service, id)))
  expect(ended.map(({ status }) => status)).toEqual(jobs.map(() => 'succeeded'))
  // How many had begun and not ended at each begin, the new one included.
  const spans = ended.map((job) => [Date.parse(job.submitted_at ?? ''), Date.parse(job.completed_at ?? '')] as const)
  for (const [begin] of spans)
    expect(spans.filter(([from, to]) => from <= begin && begin < to).length).toBeLessThanOrEqual(2)
  expect(await service.redis.zcard(service.keys.flight)).toBe(0)
})

test('outputs of a preset that copies nothing stay where Replicate has them', async () => {
  const { id } = await service.client.submit({ preset: 'linked', input: { prompt: 'linked' } })
  const job = await finished(service, id)
  expect(job).toMatchObject({ status: 'succeeded', artifacts: [], store: 'none' })
  const [url] = job.output as string[]
  expect(url).toContain(service.simulator.url)
})
