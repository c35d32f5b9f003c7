import { expect, test } from 'vitest'
import type { Client, StreamHandlers } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
import { createRuns } from '../../src/studio/run-store.ts'

/** What a page that stays open for months keeps. */

const job = (number: number): Job =>
  ({
    id: `job_${String(number).padStart(26, '0')}`,
    rev: 1,
    status: 'succeeded',
    preset: null,
    batch: null,
    progress: 1,
    artifacts: [],
    created_at: new Date(number * 1000).toISOString(),
  }) as unknown as Job

const ANY = { status: null, preset: null, batch: null }

/** A service with nothing in it yet, whose stream is open. */
function openRuns() {
  let open: (() => void) | undefined
  const client = {
    list: async () => ({ data: [], next_cursor: null }),
    changes: ({ onState }: StreamHandlers) => {
      open = () => onState?.('open')
      return { close: () => undefined }
    },
  } as unknown as Client
  const runs = createRuns(client)
  runs.show(ANY)
  runs.followAll()
  open?.()
  return runs
}

const kept = (runs: ReturnType<typeof createRuns>): number => [...runs.all()].length

test('events of ten thousand runs leave a list that can load older pages', async () => {
  const runs = openRuns()
  await new Promise((resolve) => setImmediate(resolve))
  expect(runs.sheet().state).toBe('ready')
  for (let number = 1; number <= 10_000; number++) runs.accept(job(number))
  const { ids, cursor } = runs.sheet()
  expect(ids.length).toBeLessThanOrEqual(3_000)
  expect(ids[0]).toBe(job(10_000).id)
  // Older ones come with their page, from where the list ends.
  expect(cursor).toBe(ids.at(-1))
  expect(kept(runs)).toBeLessThanOrEqual(ids.length + 500)
})

test('a run with a listener is kept, listed or not', async () => {
  const runs = openRuns()
  runs.show({ ...ANY, status: 'failed' })
  await new Promise((resolve) => setImmediate(resolve))
  const stop = runs.onJob(job(1).id, () => undefined)
  for (let number = 1; number <= 2_000; number++) runs.accept(job(number))
  expect(runs.job(job(1).id)).toBeDefined()
  expect(kept(runs)).toBeLessThanOrEqual(501)
  stop()
})

test('the whole input of a run that was read is kept when an event or a list shows it shortened', () => {
  const runs = openRuns()
  const [whole, cut] = [{ prompt: 'long' }, { prompt: 'l\u2026' }]
  const accepted = (changes: Partial<Job>): Job | undefined => {
    runs.accept({ ...job(1), ...changes })
    return runs.job(job(1).id)
  }
  expect(accepted({ rev: 1, input: cut, input_truncated: true })).toMatchObject({ input: cut, input_truncated: true })
  expect(accepted({ rev: 1, input: whole, input_truncated: false })).toMatchObject({ input: whole })
  expect(accepted({ rev: 2, input: cut, input_truncated: true })).toMatchObject({
    rev: 2,
    input: whole,
    input_truncated: false,
  })
  expect(accepted({ rev: 3, input: null, input_truncated: false })).toMatchObject({ input: null })
})
