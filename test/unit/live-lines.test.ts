import { expect, test } from 'vitest'
import { batchTable } from '../../src/cli/follow.ts'
import { bar, createLiveLines } from '../../src/cli/live-lines.ts'
import { readPair } from '../../src/cli/read-input.ts'
import { credits, endingOf, labelOf, span } from '../../src/cli/format.ts'
import type { Batch, Job } from '../../src/client/types.ts'

/** What the command line draws on a terminal: a screen of our own shows what a person would see. */

/** Understands the two escapes that are used: up n lines, and clear what follows. */
function terminal(columns: number, rows: number) {
  const lines: string[] = []
  return {
    lines,
    columns,
    rows,
    isTTY: true,
    write(text: string) {
      // oxlint-disable-next-line no-control-regex
      const up = /^\u001B\[(\d+)A\u001B\[0J/.exec(text)
      if (up) lines.splice(lines.length - Number(up[1]))
      lines.push(
        ...text
          .slice(up?.[0].length ?? 0)
          .split('\n')
          .slice(0, -1),
      )
    },
  }
}

test('lines replace the previous ones, whether more or fewer', () => {
  const screen = terminal(20, 10)
  screen.write('$ genqueue batch\n')
  const live = createLiveLines(screen)
  live.show(['one', 'two', 'three'])
  live.show(['one', 'two'])
  live.show(['eins', 'zwei', 'drei', 'vier'])
  live.end()
  screen.write('done\n')
  expect(screen.lines).toEqual(['$ genqueue batch', 'eins', 'zwei', 'drei', 'vier', 'done'])
})

test('what does not fit is cut: a line that wraps, or scrolls away, would not be found again', () => {
  const screen = terminal(10, 4)
  const live = createLiveLines(screen)
  for (const word of ['first', 'second']) live.show([`${word} line that is long`, 'b', 'c', 'd', 'e', 'f'])
  expect(screen.lines).toEqual(['second l…', 'b', 'c'])
})

test('a terminal that does not know its size is taken for a usual one', () => {
  const screen = terminal(0, 0)
  createLiveLines(screen).show(['a line of some words, which is not cut', 'b'])
  expect(screen.lines).toEqual(['a line of some words, which is not cut', 'b'])
})

test('a bar shows a share, or that it is unknown', () => {
  expect(bar(0, 0, 8)).toBe('░░░░░░░░')
  expect(bar(0.5, 0, 8)).toBe('████░░░░')
  expect(bar(1.5, 0, 8)).toBe('████████')
  const moving = [0, 0.25, 0.5, 0.75, 1, 1.25].map((seconds) => bar(null, seconds, 8))
  for (const one of moving) expect(one.replaceAll('░', '')).toBe('████')
  expect(new Set(moving).size).toBeGreaterThan(3)
})

const job = (position: number, status: Job['status']): Job => ({
  ...({} as Job),
  id: `job_${position}`,
  position,
  status,
  preset: 'story-page',
  input: { prompt: `page\n${position}` },
  phase: status === 'processing' ? 'running' : 'queued',
  progress: null,
  error: null,
  waiting_for: null,
  completed_at: status === 'succeeded' ? '2026-01-01T00:00:00.000Z' : null,
})

test('the table of a large batch shows the jobs in progress', () => {
  const jobs = Array.from({ length: 200 }, (_, at) =>
    job(at, at < 120 ? 'succeeded' : at < 123 ? 'processing' : 'queued'),
  )
  const batch = {
    ...({} as Batch),
    id: 'bat_1',
    status: 'running',
    progress: 0.6,
    counts: { total: 200, queued: 77, starting: 0, processing: 3, succeeded: 120, failed: 0, canceled: 0 },
    estimated_end_at: null,
    cost: null,
  } as const
  const lines = batchTable(batch, jobs.toReversed(), 61, 5)
  expect(lines[0]).toMatch(/^bat_1 {2}█+░+ {2}60% {2}1 min 1 s$/)
  expect(lines.slice(1, 6).map((line) => /^ +(\d+).* {2}(\w+) {2}(.*)$/.exec(line)?.slice(1))).toEqual([
    ['121', 'processing', 'page 120'],
    ['122', 'processing', 'page 121'],
    ['123', 'processing', 'page 122'],
    ['124', 'queued', 'page 123'],
    ['125', 'queued', 'page 124'],
  ])
  expect(lines.slice(6)).toEqual(['  and 195 more', 'running: 77 queued, 3 processing, 120 succeeded of 200'])
  expect(batchTable(batch, jobs.slice(0, 3), 1, 5)).toHaveLength(5)
})

test('a job whose files are copied has no share', () => {
  const storing: Job = { ...job(0, 'processing'), phase: 'storing', progress: 1 }
  const batch = {
    ...({} as Batch),
    id: 'bat_1',
    progress: 0,
    counts: { total: 1 },
    estimated_end_at: null,
    cost: null,
  } as Batch
  const [, line = ''] = batchTable(batch, [storing], 0, 5)
  expect(line).toContain('processing (storing)')
  expect(line).not.toContain('100%')
  expect(line.replaceAll(/[^█]/g, '')).toBe('████')
})

test('what a job is about is one line of limited length, and its target when it has no text', () => {
  expect(labelOf({ ...job(0, 'queued'), input: { seed: 1, style: 'ink', note: 'of two  words' } })).toBe('of two words')
  expect(labelOf({ ...job(0, 'queued'), input: { image: 'https://a.b/of two.png', style: 'ink' } })).toBe('story-page')
  expect(labelOf({ ...job(0, 'queued'), input: null })).toBe('story-page')
  expect(labelOf({ ...job(0, 'queued'), input: { text: 'x'.repeat(99) } })).toHaveLength(60)
})

test.each([
  ['seed=3', 'seed', 3],
  ['fast=true', 'fast', true],
  ['seed=null', 'seed', null],
  ['sizes=[1,2]', 'sizes', [1, 2]],
  ['megapixels="1"', 'megapixels', '1'],
  ['prompt=a fox = a friend', 'prompt', 'a fox = a friend'],
  ['prompt=', 'prompt', ''],
  ['prompt={half', 'prompt', '{half'],
])('--input %s', (pair, name, value) => {
  expect(readPair('input', pair)).toEqual([name, value])
})

test.each(['prompt', '=a fox'])('--input %s names no field', (pair) => {
  expect(() => readPair('input', pair)).toThrow(/expected <field>=<value>/)
})

test('amounts, times and outcomes are formatted as words', () => {
  expect([0, 3000, 12_500_000, 1].map(credits)).toEqual(['0', '0.003', '12.5', '0.000001'])
  expect([0.84, 33.24, 125].map(span)).toEqual(['0.8 s', '33.2 s', '2 min 5 s'])
  const types = ['image/webp', 'IMAGE/JPEG; q=1', 'video/mp4', 'application/x-sh', '../../etc/passwd']
  expect(types.map((media_type) => endingOf({ media_type }))).toEqual(['webp', 'jpg', 'mp4', 'bin', 'bin'])
})
