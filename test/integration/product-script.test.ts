import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import type { Job, JsonObject } from '../../src/client/types.ts'
import { genqueue } from '../support/genqueue.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/**
 * A script station: outline, titles and script by a model that thinks for a minute and more, longer than browsers and
 * proxies wait. Its client polls each 2 s. Time runs faster here, runs and polls by the same factor.
 */

const FASTER = 60
const POLL_S = 2
const RANK = ['queued', 'starting', 'processing', 'succeeded']

let service: TestService
beforeAll(async () => {
  service = await startService({ simulator: { speed: FASTER } })
  return () => service.stop()
})

async function ask(path: string, body?: JsonObject): Promise<{ status: number; job: Job }> {
  const response = await fetch(`${service.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, job: (await response.json()) as Job }
}

/** Polls as the page does, and sees that a job never goes backwards. */
async function polled(id: string): Promise<Job> {
  const seen: string[] = []
  for (;;) {
    const { status, job } = await ask(`/v1/jobs/${id}`)
    expect(status).toBe(200)
    if (seen.at(-1) !== job.status) seen.push(job.status)
    if (job.completed_at !== null) {
      const ranks = seen.map((one) => RANK.indexOf(one))
      expect(ranks, seen.join(' ')).toEqual(ranks.toSorted((a, b) => a - b))
      return job
    }
    await delay((POLL_S * 1000) / FASTER)
  }
}

/** Seconds for which the model ran, by its own clock. */
const ran = ({ submitted_at, completed_at }: Job): number =>
  ((Date.parse(completed_at ?? '') - Date.parse(submitted_at ?? '')) / 1000) * FASTER

function expectText(job: Job, preset: string, prompt: string, user: string): string {
  expect(job).toMatchObject({
    status: 'succeeded',
    preset,
    model: 'google/gemini-3-pro',
    prediction_id: expect.any(String) as string,
    error: null,
    metadata: { user_id: user },
    input: { prompt, system_instruction: expect.any(String) as string },
  })
  expect(ran(job)).toBeGreaterThan(60)
  if (typeof job.output !== 'string') throw new Error(`the output of ${preset} is no text`)
  expect(job.output.length).toBeGreaterThan(100)
  return job.output
}

test('outline, titles and script are typed jobs that are submitted at once and polled to their text', async () => {
  const make = async (preset: string, prompt: string): Promise<string> => {
    const { status, job } = await ask('/v1/jobs', { preset, input: { prompt }, metadata: { user_id: 'u-17' } })
    expect(status).toBe(202)
    expect(job).toMatchObject({ status: 'queued', preset, prediction_id: null, output: null })
    return expectText(await polled(job.id), preset, prompt, 'u-17')
  }
  const outline = await make('video-outline', 'How lighthouses work, for ten-year-olds')
  await Promise.all([
    make('video-titles', `Titles for this outline:\n${outline}`),
    make('video-script', `A warm script for this outline:\n${outline}`),
  ])
})

test('the same by the command line: waited for, and polled', async () => {
  const folder = tempDir()
  const common = ['--metadata', 'user_id=u-18', '--json']
  const prompt = 'How bridges stand, for ten-year-olds'
  const waited = await genqueue(
    service,
    ['submit', '--preset', 'video-outline', '--input', `prompt=${prompt}`, '--save', '.', ...common],
    folder,
  )
  expect(waited).toMatchObject({ exit: 0, stderr: '' })
  const outlineJob = JSON.parse(waited.stdout) as Job & { saved: string[] }
  const outline = expectText(outlineJob, 'video-outline', prompt, 'u-18')
  expect(outlineJob.saved).toEqual([`${outlineJob.id}.txt`])
  expect(readFileSync(join(folder, `${outlineJob.id}.txt`), 'utf8')).toBe(outline)

  const make = async (preset: string): Promise<void> => {
    const submitted = await genqueue(service, ['submit', '--preset', preset, '--input', `prompt=${outline}`, ...common])
    const { id } = JSON.parse(submitted.stdout) as Job
    for (;;) {
      const job = JSON.parse((await genqueue(service, ['get', id, '--json'])).stdout) as Job
      if (job.completed_at === null) continue
      expectText(job, preset, outline, 'u-18')
      return
    }
  }
  await Promise.all([make('video-titles'), make('video-script')])
})
