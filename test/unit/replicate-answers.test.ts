import { describe, expect, test } from 'vitest'
import { isTerminal, predictionSchema } from '../../src/shared/replicate/rules/prediction.ts'
import { progressFromLogs } from '../../src/shared/replicate/rules/progress-from-logs.ts'
import { retryHintMs } from '../../src/shared/replicate/rules/retry-hint.ts'
import { cpuTime } from '../support/growth.ts'

describe('progress from logs', () => {
  test.each([
    { logs: '', progress: null },
    { logs: 'Loading weights', progress: null },
    { logs: ' 45%|####5     | 9/20 [00:04<00:05,  2.0it/s]', progress: 0.45 },
    { logs: '  0%|          | 0/4\r 25%|##5       | 1/4\r 50%|#####     | 2/4', progress: 0.5 },
    { logs: '100%|##########| 28/28', progress: 1 },
    { logs: 'Rendering frame 45/100', progress: 0.45 },
    { logs: 'steps 3 / 4', progress: 0.75 },
    { logs: 'image 1/4\nimage 2/4', progress: 0.5 },
    { logs: 'loss is 50% lower', progress: null },
    { logs: 'ratio 3/4', progress: null },
    { logs: 'step 5/0', progress: null },
    { logs: 'step 9/4', progress: null },
    { logs: '999%|', progress: null },
    { logs: `step 1/4\n${'x'.repeat(5000)}`, progress: null },
  ])('$logs', ({ logs, progress }) => {
    expect(progressFromLogs(logs)).toBe(progress)
  })

  test('of megabytes costs next to nothing', async () => {
    const cost = (lines: number): Promise<number> => {
      const logs = ' 10%|#'.repeat(lines)
      return cpuTime(() => Array.from({ length: 1000 }, () => () => progressFromLogs(logs)))
    }
    expect(progressFromLogs(' 10%|#'.repeat(1_000_000))).toBe(0.1)
    // If it read all of them, it would take a thousand times as long.
    expect((await cost(1_000_000)) / Math.max(await cost(1000), 10)).toBeLessThan(30)
  })
})

describe('how long a 429 asks to wait', () => {
  const now = Date.parse('2026-11-22T12:00:00Z')
  const hint = (headers: Record<string, string>, body = '') => retryHintMs(new Headers(headers), body, now)

  test.each([
    { from: 'the header in seconds', headers: { 'retry-after': '7' }, ms: 7000 },
    { from: 'the header as a date', headers: { 'retry-after': 'Sun, 22 Nov 2026 12:00:20 GMT' }, ms: 20_000 },
    { from: 'a date that is over', headers: { 'retry-after': 'Sun, 22 Nov 2026 11:00:00 GMT' }, ms: 10_000 },
    { from: 'a header of garbage', headers: { 'retry-after': 'soon' }, ms: 10_000 },
    { from: 'the body', headers: {}, body: '{"retry_after": 12}', ms: 12_000 },
    {
      from: 'the words',
      headers: {},
      body: '{"detail":"Request was throttled. Your rate limit resets in ~30s."}',
      ms: 30_000,
    },
    { from: 'ratelimit-reset', headers: { 'ratelimit-reset': '9' }, ms: 9000 },
    {
      from: 'the longest of them',
      headers: { 'retry-after': '1' },
      body: '{"retry_after":2,"detail":"resets in ~4s"}',
      ms: 4000,
    },
    { from: 'nothing', headers: {}, body: '<html>', ms: 10_000 },
    { from: 'an hour, cut', headers: { 'retry-after': '3600' }, ms: 300_000 },
    { from: 'a zero', headers: { 'retry-after': '0' }, ms: 10_000 },
    { from: 'a negative number', headers: { 'retry-after': '-5' }, ms: 10_000 },
  ])('from $from', ({ headers, body, ms }) => {
    expect(hint(headers, body)).toBe(ms)
  })
})

describe('a prediction', () => {
  const minimal = { id: 'ype2b3w02xrme0cqadzrms82nm', status: 'starting' }

  test('may leave out, or null, everything but id and status', () => {
    const missing = predictionSchema.parse(minimal)
    const nulled = predictionSchema.parse({
      ...minimal,
      output: null,
      error: null,
      created_at: null,
      started_at: null,
      completed_at: null,
    })
    for (const one of [missing, nulled])
      expect(one).toMatchObject({ output: null, error: null, created_at: null, started_at: null, completed_at: null })
    expect(
      predictionSchema.parse({ ...minimal, logs: null, metrics: null, data_removed: null, version: null }).logs,
    ).toBeNull()
  })

  test.each([
    ['2026-11-22T12:00:00Z', 0],
    ['2026-11-22T12:00:00.123Z', 123],
    ['2026-11-22T12:00:00.123456Z', 123],
    ['2026-11-22T12:00:00.123456789Z', 123],
    ['2026-11-22T12:00:00.123+00:00', 123],
  ])('has times of any precision: %s', (text, ms) => {
    expect(predictionSchema.parse({ ...minimal, created_at: text }).created_at).toBe(
      Date.parse('2026-11-22T12:00:00Z') + ms,
    )
  })

  test('with a time that is none has none', () => {
    expect(predictionSchema.parse({ ...minimal, created_at: 'yesterday' }).created_at).toBeNull()
  })

  test('returns errors of any type as text', () => {
    expect(predictionSchema.parse({ ...minimal, error: 'E005' }).error).toBe('E005')
    expect(predictionSchema.parse({ ...minimal, error: { detail: 'x' } }).error).toBe('{"detail":"x"}')
  })

  test('keeps fields that we do not know out, and statuses that we do not know in', () => {
    const parsed = predictionSchema.parse({ ...minimal, status: 'queued2', urls: { get: 'x' }, source: 'api' })
    expect(parsed).not.toHaveProperty('urls')
    expect(isTerminal(parsed.status)).toBe(false)
  })

  test.each([
    {},
    { ...minimal, id: '../x' },
    { ...minimal, id: '' },
    { id: 'x' },
    { ...minimal, status: 1 },
    [],
    null,
    'x',
  ])('is not %j', (value) => {
    expect(predictionSchema.safeParse(value).success).toBe(false)
  })

  test.each(['succeeded', 'failed', 'canceled', 'aborted'])('that is %s is final', (status) => {
    expect(isTerminal(status)).toBe(true)
  })
})
