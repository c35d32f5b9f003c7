import { expect, test, vi } from 'vitest'
import { createFrontLinks } from '../../src/api/front/front-links.ts'
import { createPredictionView } from '../../src/api/front/prediction.ts'
import { streamRoutes } from '../../src/api/front/streams.ts'
import type { ApiRequest } from '../../src/api/http.ts'
import { createLastingLinks } from '../../src/shared/artifacts/rules/lasting-links.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { FIRST_KEEP } from '../../src/shared/jobs/rules/keep.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from './support/job-states.ts'
import { outputScene, running, succeeded } from './support/output-scene.ts'

const keys = oneKey(Buffer.alloc(32, 1))
const RESTARTED = ['error', { detail: expect.stringContaining('was restarted') as string }]

/** A stream of a job whose record and text the test changes. */
async function streamOf(first: JobRecord, options: { last?: string; feeds?: 'none' } = {}) {
  const scene = outputScene(first, options)
  const links = createFrontLinks(keys)
  const view = createPredictionView({
    lasting: createLastingLinks(keys),
    links,
    keep: { usual: FIRST_KEEP, max: FIRST_KEEP },
  })
  const [route] = streamRoutes({ ...scene, links, view })
  const request: ApiRequest = {
    method: 'GET',
    path: '',
    params: { token: links.stream(first).split('/').at(-1) ?? '' },
    query: new URLSearchParams(),
    headers: { 'last-event-id': options.last },
    body: undefined,
    ip: '',
    host: 'localhost',
    secure: false,
    proxied: false,
    gone: () => new AbortController().signal,
    sent: () => Promise.resolve(true),
  }
  if (route?.scope !== null) throw new Error('no route')
  const answer = await route.handle(request)
  if (!('events' in answer)) throw new Error('no stream')
  return { ...scene, ...scene.read(answer.events) }
}

test('a text is sent as it is written, and its rest at the end', async () => {
  const stream = await streamOf(jobRecord('queued', { output_shape: 'text' }))
  stream.become(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once')
  await waitFor('the first words', () => stream.sent.length === 1)
  stream.write('p1', 'Once upon')
  await waitFor('more', () => stream.sent.length === 2)
  stream.become(succeeded('Once upon a time'))
  await stream.over()
  expect(stream.sent).toEqual([
    ['output', 'Once'],
    ['output', ' upon'],
    ['output', ' a time'],
    ['done', {}],
  ])
  expect(stream.ids).toEqual(['1:4', '1:9', '1:16', '1:16'])
  stream.stop()
  expect([stream.followers.size, stream.left.mock.calls.length]).toEqual([0, 1])
})

test('a text whose line breaks became those of events ends without an error', async () => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once\nupon')
  await waitFor('the first lines', () => stream.sent.length === 1)
  stream.become(succeeded('Once\r\nupon\r\na\rtime'))
  await stream.over()
  expect(stream.sent.slice(1)).toEqual([
    ['output', '\na\ntime'],
    ['done', {}],
  ])
})

test('a prediction that was resubmitted after its text began ends a stream with an error, also when it is resumed', async () => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once')
  await waitFor('the first words', () => stream.sent.length === 1)
  stream.become(running(2))
  await stream.over()
  expect(stream.sent.slice(1)).toEqual([RESTARTED, ['done', { reason: 'error' }]])

  const resumed = await streamOf(succeeded('Another text', 2), { last: '1:4' })
  await resumed.over()
  expect(resumed.sent).toEqual([RESTARTED, ['done', { reason: 'error' }]])
})

test('one that was resubmitted before is followed in its new prediction', async () => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.become(running(2))
  await waitFor('the new prediction', () => stream.followers.has('p2'))
  expect(stream.followers.has('p1')).toBe(false)
  stream.become(succeeded('All of it', 2))
  await stream.over()
  expect(stream.sent).toEqual([
    ['output', 'All of it'],
    ['done', {}],
  ])
})

test('an output that does not continue the text is an error', async () => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once')
  await waitFor('the first words', () => stream.sent.length === 1)
  stream.become(succeeded('Twice'))
  await stream.over()
  expect(stream.sent.slice(1)).toEqual([RESTARTED, ['done', { reason: 'error' }]])
  const beyond = await streamOf(succeeded('Twice'), { last: '1:6' })
  await beyond.over()
  expect(beyond.sent).toEqual([RESTARTED, ['done', { reason: 'error' }]])
})

test('without a connection to Replicate the output comes at once', async () => {
  const stream = await streamOf(running(1), { feeds: 'none' })
  stream.become(succeeded('All of it'))
  await stream.over()
  expect(stream.sent).toEqual([
    ['output', 'All of it'],
    ['done', {}],
  ])
})

test.each([
  ['a string', 'words', [['output', 'words']]],
  ['an object', { a: 1 }, [['output', '{"a":1}']]],
  [
    'a list',
    ['a', { b: 2 }, null],
    [
      ['output', 'a'],
      ['output', '{"b":2}'],
      ['output', 'null'],
    ],
  ],
  ['nothing', null, []],
])('an output that is neither text nor files: %s', async (_name, output, events) => {
  const job = jobRecord('succeeded', { attempt: 1, output_shape: 'json', output })
  const stream = await streamOf(job)
  await stream.over()
  expect(stream.sent).toEqual([...events, ['done', {}]])
  const rest = await streamOf(job, { last: '1:1' })
  await rest.over()
  expect(rest.sent).toEqual([...events.slice(1), ['done', {}]])
})

test('a read that fails is repeated', async () => {
  vi.useFakeTimers()
  try {
    const stream = await streamOf(running(1))
    stream.fail(2)
    stream.become(succeeded('All of it'))
    await vi.advanceTimersByTimeAsync(2_000)
    expect(stream.sent).toEqual([
      ['output', 'All of it'],
      ['done', {}],
    ])
  } finally {
    vi.useRealTimers()
  }
})

test('a job that is removed ends a stream', async () => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.become(null)
  await stream.over()
  expect(stream.sent).toEqual([])
})
