import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { OwnedRequest } from '../../src/api/http.ts'
import { createLogTail } from '../../src/api/output/log-tail.ts'
import { outputRoutes } from '../../src/api/routes/output.ts'
import type { Job, JobLogs } from '../../src/client/types.ts'
import { ServiceError } from '../../src/shared/errors/service-error.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from './support/job-states.ts'
import { outputScene, running, succeeded } from './support/output-scene.ts'

/** The output of a job in the form of `/v1`. */

interface Options {
  last?: string
  include?: string
  /** Of a job token. */
  only?: string
  feeds?: 'none'
  logsOf?: () => Promise<JobLogs>
}

async function streamOf(first: JobRecord, options: Options = {}) {
  const scene = outputScene(first, options)
  const { last, include, only = null, logsOf = () => Promise.resolve({ logs: null, truncated: false }) } = options
  let fallSilent = (): void => undefined
  const [route] = outputRoutes({
    ...scene,
    streams: {
      enter: scene.enter,
      requireHeard: () => undefined,
      whileHeard: (source) => (send, end) => {
        fallSilent = end
        return source(send, end)
      },
    },
    logsOf,
    show: async ({ id, status, rev }) => ({ id, status, rev }) as Job,
  })
  const request: OwnedRequest = {
    method: 'GET',
    path: '',
    params: { id: first.id },
    query: new URLSearchParams(include === undefined ? '' : { include }),
    headers: { 'last-event-id': last },
    body: undefined,
    ip: '',
    host: 'localhost',
    secure: false,
    proxied: false,
    gone: () => new AbortController().signal,
    sent: () => Promise.resolve(true),
    principal: {
      tenant: first.tenant,
      scopes: ['jobs:read'],
      keyId: null,
      rate: null,
      limits: { requests_per_minute: 1, queued_jobs: 1 },
      keep: {},
      only,
      until: null,
    },
  }
  if (route?.scope !== 'jobs:read' || route.method !== 'GET') throw new Error('no route')
  const answer = await route.handle(request)
  if (!('events' in answer)) throw new Error('no stream')
  return { ...scene, ...scene.read(answer.events), fallSilent: () => fallSilent() }
}

const text = (piece: string) => ['output', { text: piece }]
const done = (status = 'succeeded') => ['done', expect.objectContaining({ status }) as unknown]

test('a text is sent as it is written, and its end is the final job', async () => {
  const stream = await streamOf(jobRecord('queued', { output_shape: 'text' }))
  stream.become(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once')
  await waitFor('the first words', () => stream.sent.length === 1)
  stream.become(succeeded('Once upon a\r\ntime'))
  await stream.over()
  expect(stream.sent).toEqual([text('Once'), text(' upon a\ntime'), done()])
  expect(stream.ids).toEqual(['1:4', '1:16', '1:16'])
  stream.stop()
  expect([stream.followers.size, stream.listeners.size, stream.left.mock.calls.length]).toEqual([0, 0, 1])
})

test('a reader that resumes gets what it does not have, whatever happened meanwhile', async () => {
  const resumed = await streamOf(running(1), { last: '1:4' })
  await waitFor('a follower', () => resumed.followers.has('p1'))
  // This process is behind the one that the reader had before.
  resumed.write('p1', 'On')
  resumed.write('p1', 'Once upon')
  await waitFor('the rest', () => resumed.sent.length === 1)
  resumed.become(succeeded('Once upon'))
  await resumed.over()
  expect(resumed.sent).toEqual([text(' upon'), done()])
  const late = await streamOf(succeeded('Once upon'), { last: '1:9' })
  await late.over()
  expect(late.sent).toEqual([done()])
})

test('where there is no stream of the prediction, or it broke, the growing text of the record is sent', async () => {
  const without = await streamOf(running(1, 'On'), { feeds: 'none' })
  await waitFor('the first words', () => without.sent.length === 1)
  without.become(running(1, 'Once\r'))
  await waitFor('more', () => without.sent.length === 2)
  without.become(succeeded('Once\r\nupon'))
  await without.over()
  expect(without.sent).toEqual([text('On'), text('ce'), text('\nupon'), done()])
  const broken = await streamOf(running(1))
  await waitFor('a follower', () => broken.followers.has('p1'))
  broken.write('p1', 'Once')
  broken.become(running(1, 'Once upon'))
  await waitFor('more', () => broken.sent.length === 2)
  broken.become(running(1, 'Once'))
  broken.become(succeeded('Once upon a time'))
  await broken.over()
  expect(broken.sent).toEqual([text('Once'), text(' upon'), text(' a time'), done()])
})

test.each<[string, JobRecord, string]>([
  ['while it is written', running(2), 'Another text'],
  ['because the end is another text', succeeded('Another text'), 'Another text'],
])('a text that begins again is sent again after a reset, %s', async (_when, next, whole) => {
  const stream = await streamOf(running(1))
  await waitFor('a follower', () => stream.followers.has('p1'))
  stream.write('p1', 'Once')
  await waitFor('the first words', () => stream.sent.length === 1)
  stream.become(next)
  if (next.phase === 'running') await waitFor('the new prediction', () => stream.followers.has('p2'))
  stream.become(succeeded(whole, next.attempt))
  await stream.over()
  expect(stream.sent).toEqual([text('Once'), ['reset', {}], text(whole), done()])
  expect(stream.ids[1]).toBe(`${next.attempt}:0`)
})

test('a long rest comes in pieces, none of which splits a character', async () => {
  const whole = `${'x'.repeat(64 * 1024 - 1)}🦊${'y'.repeat(100)}`
  const stream = await streamOf(succeeded(whole))
  await stream.over()
  const pieces = stream.sent.slice(0, -1).map(([, data]) => (data as { text: string }).text)
  expect(pieces.map(({ length }) => length)).toEqual([64 * 1024 - 1, 102])
  expect(pieces.join('')).toBe(whole)
})

test.each<[JobRecord, string]>([
  [jobRecord('failed', { attempt: 1, output_shape: 'text' }), 'failed'],
  [jobRecord('canceled', { attempt: 1, output_shape: 'text' }), 'canceled'],
  [jobRecord('succeeded', { attempt: 1, output_shape: 'json', output: { a: 1 } }), 'succeeded'],
  [jobRecord('succeeded', { attempt: 1, output_shape: 'text', output: null }), 'succeeded'],
])('a job without a text has its end only: %#', async (job, status) => {
  const stream = await streamOf(job)
  await stream.over()
  expect(stream.sent).toEqual([done(status)])
})

test('states of the job are sent on request, and a job that is removed ends a stream', async () => {
  const stream = await streamOf(jobRecord('queued', { output_shape: 'text', rev: 1 }), { include: 'job' })
  await waitFor('the first state', () => stream.sent.length === 1)
  stream.become({ ...running(1), rev: 3 })
  await waitFor('the next', () => stream.sent.length === 2)
  // Only its text has changed.
  stream.become({ ...running(1, 'Once'), rev: 3 })
  await waitFor('the text', () => stream.sent.length === 3)
  stream.become(null)
  await stream.over()
  expect(stream.sent.map(([event]) => event)).toEqual(['job', 'job', 'output'])
})

test('a job that cannot be read for seconds ends the stream, which says so', async () => {
  vi.useFakeTimers()
  try {
    const stream = await streamOf(running(1))
    await vi.advanceTimersByTimeAsync(0)
    stream.fail(4)
    stream.become(running(1))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(stream.sent).toEqual([])
    stream.fail(5)
    stream.become(running(1))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(stream.sent).toEqual([['unavailable', { detail: expect.any(String) as string }]])
    stream.stop()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('B23 an id that is none is refused', async () => {
  for (const last of ['x', '1', '1:', ':1', '-1:0', '1:0:0', '1:1e3', `1:${'9'.repeat(10)}`, '9'.repeat(8_000)])
    await expect(streamOf(running(1), { last })).rejects.toMatchObject({ code: 'invalid_header' })
})

test('a position beyond the text gives it from its beginning', async () => {
  const stream = await streamOf(succeeded('Once'), { last: '1:999999999' })
  await stream.over()
  expect(stream.sent).toEqual([['reset', {}], text('Once'), done()])
})

describe('logs', () => {
  test('are refused for a job token', async () => {
    await expect(streamOf(running(1), { include: 'logs', only: running(1).id })).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  test('come as they grow, before the end, and no failed read ends the stream', async () => {
    vi.useFakeTimers()
    try {
      const answers = [{ logs: 'a\n' }, new ServiceError('upstream_unavailable', 'no'), { logs: 'a\nb\n' }]
      const stream = await streamOf(running(1), {
        include: 'logs',
        async logsOf() {
          const next = answers.shift() ?? { logs: 'a\nb\nc\n' }
          if (next instanceof Error) throw next
          return { ...next, truncated: false }
        },
      })
      await vi.advanceTimersByTimeAsync(8_000)
      stream.become(succeeded('Once'))
      await vi.advanceTimersByTimeAsync(0)
      expect(stream.sent).toEqual([
        ['logs', { text: 'a\n', replace: true, truncated: false }],
        ['logs', { text: 'b\n', replace: false, truncated: false }],
        text('Once'),
        ['logs', { text: 'c\n', replace: false, truncated: false }],
        done(),
      ])
      stream.stop()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('whose beginning is cut off continue', () => {
    // Few letters, so that parts of the logs repeat.
    const lines = fc.array(fc.stringMatching(/^[ab]{0,3}\n$/), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(fc.array(lines, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 400 }), (parts, kept) => {
        const tail = createLogTail()
        let whole = ''
        let shown = ''
        for (const part of parts) {
          whole += part.join('')
          const isContinued = shown !== '' && whole.length <= kept
          const piece = tail({ logs: whole.slice(-kept), truncated: whole.length > kept })
          if (piece) shown = piece.replace ? piece.text : shown + piece.text
          if (piece && isContinued) expect(piece.replace).toBe(false)
          expect(shown.endsWith(whole.slice(-kept))).toBe(true)
        }
      }),
    )
  })

  test('that have nothing in common replace each other', () => {
    const tail = createLogTail()
    expect(tail({ logs: null, truncated: false })).toBeNull()
    expect(tail({ logs: '', truncated: false })).toBeNull()
    expect(tail({ logs: 'abc', truncated: false })).toEqual({ text: 'abc', replace: true, truncated: false })
    expect(tail({ logs: 'abc', truncated: false })).toBeNull()
    expect(tail({ logs: 'xyz', truncated: true })).toEqual({ text: 'xyz', replace: true, truncated: true })
  })
})
