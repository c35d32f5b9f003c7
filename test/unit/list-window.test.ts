import { expect, test } from 'vitest'
import type { PredictionPort, ReadOutcome } from '../../src/shared/replicate/prediction-port.ts'
import { listOutcome } from '../../src/shared/replicate/rules/interpret-response.ts'
import { listAll } from '../../src/workers/list-window.ts'
import { prediction } from './support/job-states.ts'

const BEGAN = 1_800_000_000_000
const signal = new AbortController().signal
const reads = { take: () => Promise.resolve() }
const never = (): Promise<never> => Promise.reject(new Error('not in this test'))

/** An upstream with a row each 100 ms, ten to a page; a page is read only when `isReadable`. */
function upstreamOf(count: number, isReadable: (rows: number, oldest: number) => boolean) {
  const rows = Array.from({ length: count }, (_, i) =>
    prediction('starting', { id: `p${i}`, created_at: BEGAN + i * 100 }),
  )
  let lists = 0
  const list: PredictionPort['list'] = ({ after, before, cursor }) => {
    lists++
    const [from, to, skip] = cursor ? (JSON.parse(cursor) as [number, number, number]) : [after, before, 0]
    const found = rows.filter(({ created_at }) => (created_at ?? 0) > from && (created_at ?? 0) < to).toReversed()
    const page = found.slice(skip, skip + 10)
    if (!isReadable(found.length, page.at(-1)?.created_at ?? 0))
      return Promise.resolve({ kind: 'failed', cause: 'upstream', reason: 'too much', narrow: true })
    const next = found.length > skip + 10 ? JSON.stringify([from, to, skip + 10]) : null
    return Promise.resolve({ kind: 'page', predictions: page, cursor: next })
  }
  const upstream = {
    list,
    create: never,
    get: never,
    output: never,
    cancel: never,
    account: never,
    uploadFile: never,
    webhookSecret: never,
    model: never,
    deployment: never,
  }
  return { upstream, lists: () => lists }
}

test('a window whose answer cannot be read is listed in halves, each row once', async () => {
  const { upstream } = upstreamOf(200, (rows) => rows <= 30)
  const listing = await listAll({ upstream, reads }, { after: BEGAN - 1, before: BEGAN + 20_001 }, signal)
  if (listing.kind !== 'complete') throw new Error(listing.failure.message)
  expect(new Set(listing.predictions.map(({ id }) => id))).toEqual(
    new Set(Array.from({ length: 200 }, (_, i) => `p${i}`)),
  )
  expect(listing.predictions).toHaveLength(200)
})

test('a part that cannot be read however small makes the listing incomplete, with the reason, after few requests', async () => {
  const bad = BEGAN + 10_000
  const { upstream, lists } = upstreamOf(200, (_rows, oldest) => oldest > bad)
  const listing = await listAll({ upstream, reads }, { after: BEGAN - 1, before: BEGAN + 20_001 }, signal)
  expect(listing).toEqual({
    kind: 'incomplete',
    failure: { cause: 'upstream', message: 'too much', retryAfterMs: null },
  })
  expect(lists()).toBeLessThan(60)
})

test('a failure that says nothing about the size is not tried in halves', async () => {
  const { upstream } = upstreamOf(0, () => true)
  let lists = 0
  const list: PredictionPort['list'] = () => {
    lists++
    return Promise.resolve({ kind: 'failed', cause: 'account', reason: 'status 401' })
  }
  const listing = await listAll({ upstream: { ...upstream, list }, reads }, { after: 0, before: 10_000 }, signal)
  expect(listing).toMatchObject({ kind: 'incomplete', failure: { cause: 'account' } })
  expect(lists).toBe(1)
})

test.each<[string, ReadOutcome, string[] | null]>([
  ['is there', { kind: 'prediction', prediction: prediction('succeeded', { id: 'odd' }) }, ['p', 'odd']],
  ['is gone', { kind: 'not_found' }, ['p']],
  ['cannot be read either', { kind: 'failed', cause: 'upstream', reason: 'no' }, null],
])('a row in a form that cannot be read is asked for by itself; it %s', async (_what, outcome, ids) => {
  const page = listOutcome(
    {
      kind: 'answer',
      answer: {
        status: 200,
        headers: { get: () => null },
        body: JSON.stringify({
          next: null,
          results: [
            { id: 'p', status: 'starting' },
            { id: 'odd', status: 7 },
          ],
        }),
      },
    },
    'https://r.example/v1',
  )
  const { upstream } = upstreamOf(0, () => true)
  const odd = { ...upstream, list: () => Promise.resolve(page), get: () => Promise.resolve(outcome) }
  const listing = await listAll({ upstream: odd, reads }, { after: 0, before: 1 }, signal)
  expect(listing.kind === 'complete' ? listing.predictions.map(({ id }) => id) : null).toEqual(ids)
})

test.each([
  [{ kind: 'broken', reason: 'ECONNRESET', hadBegun: true }, true],
  [{ kind: 'broken', reason: 'TimeoutError' }, undefined],
  [{ kind: 'not_connected', reason: 'ECONNREFUSED' }, undefined],
  [504, true],
  [500, true],
  [503, undefined],
  [401, undefined],
  [200, true],
] as const)('the failure of a list %j says whether a smaller part may be readable: %s', (given, narrow) => {
  const outcome =
    typeof given === 'number'
      ? ({ kind: 'answer', answer: { status: given, headers: { get: () => null }, body: '<html>' } } as const)
      : given
  const result = listOutcome(outcome, 'https://r.example/v1')
  expect(result).toMatchObject({ kind: 'failed' })
  expect('narrow' in result ? result.narrow : undefined).toBe(narrow)
})
