import { getEventListeners } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  createClient,
  isJobFailed,
  OutputRestartedError,
  type Client,
  type StreamHandlers,
  type Subscription,
} from '../../src/client/client.ts'

/** How a stream of the client ends, and that it leaves nothing behind: against a server that answers by a script. */

const job = (status: string): string => JSON.stringify({ id: 'job_1', status, completed_at: null })
const event = (type: string, data: string): string => `id: 1\nevent: ${type}\ndata: ${data}\n\n`

const BASE = 'http://127.0.0.1'

/** Answers in this order, the last one for ever: a status, JSON, or the text of a stream, which then ends or stays open. */
function scripted(...answers: (number | string | { ended: string } | { json: string })[]) {
  const asked: AbortSignal[] = []
  const cursors: (string | null)[] = []
  const paths: string[] = []
  const answer = (url: string, init: RequestInit = {}): Response => {
    paths.push(url.replace(BASE, ''))
    if (init.signal) asked.push(init.signal)
    cursors.push(new Headers(init.headers).get('last-event-id'))
    const next = answers[Math.min(asked.length, answers.length) - 1] ?? 503
    if (typeof next === 'number') return Response.json({ code: 'some_code', detail: 'no' }, { status: next })
    if (typeof next === 'object' && 'json' in next) return new Response(next.json)
    const text = typeof next === 'string' ? next : next.ended
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        stream.enqueue(new TextEncoder().encode(text))
        if (text === '' || typeof next !== 'string') stream.close()
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  const client = createClient({
    baseUrl: BASE,
    fetch: (url, init) => Promise.resolve(answer(url instanceof Request ? url.url : String(url), init)),
  })
  return { asked, cursors, paths, client }
}

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 170_000 })

const oops = new Error('a mistake in a handler')
const fail = (): never => {
  throw oops
}

describe('what a handler throws', () => {
  test.each<[string, string, (client: Client) => Promise<unknown>]>([
    ['wait', event('job', job('queued')), (client) => client.wait('job_1', { onUpdate: fail })],
    ['wait, at the last news', event('job', job('succeeded')), (client) => client.wait('job_1', { onUpdate: fail })],
    ['waitBatch', event('batch', job('queued')), (client) => client.waitBatch('bat_1', { onUpdate: fail })],
  ])('ends %s, which rejects with it', async (_what, stream, call) => {
    const { asked, client } = scripted(stream)
    await expect(call(client)).rejects.toBe(oops)
    expect(asked).toHaveLength(1)
    await until(() => expect(asked[0]?.aborted).toBe(true))
  })

  const subscriptions: [string, string, (client: Client, handlers: StreamHandlers) => Subscription][] = [
    [
      'onUpdate of subscribe',
      event('job', job('queued')),
      (client, handlers) => client.subscribe('job_1', { onUpdate: fail, ...handlers }),
    ],
    [
      'onUpdate of subscribeBatch',
      event('batch', '{}'),
      (client, handlers) => client.subscribeBatch('b', { onUpdate: fail, ...handlers }),
    ],
    [
      'onCursor of changes',
      event('ready', '{}'),
      (client, handlers) => client.changes({ onJob: () => undefined, onCursor: fail, ...handlers }),
    ],
    [
      'onJob of changes',
      event('job', job('queued')),
      (client, handlers) => client.changes({ onJob: fail, ...handlers }),
    ],
    [
      'onReset of changes',
      event('reset', '{}'),
      (client, handlers) => client.changes({ onJob: () => undefined, onReset: fail, ...handlers }),
    ],
    ['onState', '', (client, handlers) => client.changes({ onJob: () => undefined, onState: fail, ...handlers })],
    [
      'onState after the connection',
      event('job', job('queued')),
      (client, handlers) =>
        client.subscribe('job_1', {
          onUpdate: () => undefined,
          onState: (state) => (state === 'open' ? fail() : undefined),
          ...handlers,
        }),
    ],
  ]

  test.each(subscriptions)('%s ends the subscription, and is given to onError', async (_what, stream, subscribe) => {
    const { asked, client } = scripted(stream)
    const onError = vi.fn<(error: unknown) => void>()
    subscribe(client, { onError })
    await until(() => expect(onError).toHaveBeenCalledOnce())
    expect(onError).toHaveBeenCalledWith(oops)
    for (const signal of asked) await until(() => expect(signal.aborted).toBe(true))
    expect(asked.length).toBeLessThanOrEqual(1)
  })

  test.each<[string, number | string, StreamHandlers]>([
    ['without onError', event('job', job('queued')), {}],
    ['when onError throws too', 401, { onError: fail }],
  ])('%s is an unhandled rejection', async (_what, answer, handlers) => {
    const others = process.listeners('unhandledRejection')
    const unhandled = vi.fn<(error: unknown) => void>()
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', unhandled)
    try {
      const { client } = scripted(answer)
      client.changes({ onJob: fail, ...handlers })
      await until(() => expect(unhandled).toHaveBeenCalled())
      expect(unhandled.mock.calls[0]?.[0]).toBe(oops)
    } finally {
      process.off('unhandledRejection', unhandled)
      for (const listener of others) process.on('unhandledRejection', listener)
    }
  })
})

describe('an iteration', () => {
  const states = event('job', job('queued')) + event('job', job('processing'))
  const left = async (asked: AbortSignal[]) => {
    for (const signal of asked) await until(() => expect(signal.aborted).toBe(true))
    expect(asked).toHaveLength(1)
  }

  test.each<[string, (client: Client) => AsyncIterable<unknown>]>([
    ['stream', (client) => client.stream('job_1')],
    ['subscribe', (client) => client.subscribe('job_1')],
    ['changes', (client) => client.changes()],
  ])('of %s is closed by what its body throws, and by break', async (_what, open) => {
    const first = scripted(states)
    const call = async () => {
      for await (const _ of open(first.client)) throw oops
    }
    await expect(call()).rejects.toBe(oops)
    await left(first.asked)
    const second = scripted(states)
    for await (const _ of open(second.client)) break
    await left(second.asked)
  })

  test('ends at close(), and throws the reason of its signal', async () => {
    const { client, asked } = scripted(states)
    const subscription = client.subscribe('job_1')
    const seen: unknown[] = []
    for await (const { status } of subscription) {
      seen.push(status)
      if (seen.length === 2) setTimeout(subscription.close)
    }
    expect(seen).toEqual(['queued', 'processing'])
    await left(asked)
    const leaving = new AbortController()
    const call = async () => {
      for await (const { status } of client.stream('job_1', { signal: leaving.signal }))
        if (status === 'processing') setTimeout(() => leaving.abort(oops))
    }
    await expect(call()).rejects.toBe(oops)
  })

  test('of a subscription with handlers is refused', async () => {
    const { client } = scripted(states)
    const { close, ...rest } = client.subscribe('job_1', { onUpdate: () => undefined })
    const iterable = rest as AsyncIterable<unknown>
    await expect(iterable[Symbol.asyncIterator]().next()).rejects.toThrow('cannot be iterated')
    close()
  })

  test('throws the refusal of the service', async () => {
    const { client } = scripted(401)
    await expect(client.stream('job_1').next()).rejects.toMatchObject({ status: 401 })
  })
})

describe('a cursor', () => {
  const changes =
    'id: e-1\nevent: ready\ndata: {}\n\nid: e-2\nevent: job\ndata: {"id":"job_1"}\n\nid: e-3\nevent: reset\ndata: {}\n\n'

  test('is sent from the first connection on, and given when its change was handled', async () => {
    const { client, cursors } = scripted(changes)
    const seen: string[] = []
    await new Promise<void>((resolve) => {
      const { close } = client.changes({
        since: 'e-0',
        onJob: ({ id }) => seen.push(id),
        onReset: () => seen.push('reset'),
        onCursor: (cursor) => {
          seen.push(cursor)
          if (cursor === 'e-3') resolve(close())
        },
      })
    })
    expect(seen).toEqual(['e-1', 'job_1', 'e-2', 'reset', 'e-3'])
    expect(cursors).toEqual(['e-0'])
  })

  test('comes with each change of an iteration, and to onCursor when the next one is asked for', async () => {
    const { client } = scripted(changes)
    const seen: unknown[] = []
    for await (const change of client.changes({ onCursor: (cursor) => seen.push(cursor) })) {
      seen.push([change.type, change.cursor])
      if (change.type === 'reset') break
    }
    expect(seen).toEqual(['e-1', ['job', 'e-2'], 'e-2', ['reset', 'e-3']])
  })
})

test('after an event that cannot be read the stream is opened again', async () => {
  vi.useFakeTimers()
  const { client, asked } = scripted(event('job', '{"id": "job_'), event('job', job('succeeded')))
  const watched = client.wait('job_1', { onUpdate: () => undefined })
  await vi.advanceTimersByTimeAsync(2_000)
  expect(await watched).toMatchObject({ status: 'succeeded' })
  expect(asked).toHaveLength(2)
})

describe('the stream of an output', () => {
  const output = (id: string, text: string): string => `id: ${id}\nevent: output\ndata: ${JSON.stringify({ text })}\n\n`
  const done = (status: string, id = '1:9'): string => `id: ${id}\nevent: done\ndata: ${job(status)}\n\n`
  const all = async (stream: AsyncIterable<string>): Promise<string[]> => {
    const chunks: string[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return chunks
  }

  test('continues after the last character that arrived, wherever its connection is cut', async () => {
    vi.useFakeTimers()
    const [first, second, last] = [output('1:4', 'Once'), output('1:9', '\nupon'), done('succeeded')]
    for (const at of [1, 10, second.length - 1, second.length, second.length + 9]) {
      const hasSecond = at >= second.length
      const ended = (first + second + last).slice(0, first.length + at)
      const { client, cursors } = scripted({ ended }, hasSecond ? last : second + last)
      const chunks = all(client.streamOutput('job_1'))
      await vi.advanceTimersByTimeAsync(1_000)
      expect(await chunks).toEqual(['Once', '\nupon'])
      expect(cursors).toEqual([null, hasSecond ? '1:9' : '1:4'])
    }
  })

  test('returns the final job, and throws one that did not succeed', async () => {
    const { client } = scripted(done('succeeded'))
    const step = await client.streamOutput('job_1').next()
    expect(step).toMatchObject({ done: true, value: { status: 'succeeded' } })
    for (const status of ['failed', 'canceled']) {
      const states: string[] = []
      const error: unknown = await all(
        scripted(done(status)).client.streamOutput('job_1', { onJob: (now) => states.push(now.status) }),
      ).catch((caught: unknown) => caught)
      expect([isJobFailed(error), states]).toEqual([true, [status]])
    }
  })

  test('that begins again is for its handler, and an error without one', async () => {
    const text =
      output('1:4', 'Once') + 'id: 2:0\nevent: reset\ndata: {}\n\n' + output('2:5', 'Twice') + done('succeeded')
    await expect(all(scripted(text).client.streamOutput('job_1'))).rejects.toBeInstanceOf(OutputRestartedError)
    let known: string[] = []
    const { client } = scripted(text)
    for await (const chunk of client.streamOutput('job_1', { onRestart: () => (known = []) })) known.push(chunk)
    expect(known).toEqual(['Twice'])
  })

  test('asks for states and logs only when somebody wants them, and joins the logs', async () => {
    const piece = (text: string, replace: boolean): string =>
      `event: logs\ndata: ${JSON.stringify({ text, replace, truncated: replace })}\n\n`
    const { client, paths } = scripted(
      event('job', job('queued')) + piece('a', true) + piece('b', false) + piece('z', true) + done('succeeded'),
    )
    const [states, logs] = [[] as string[], [] as string[]]
    await all(client.streamOutput('job_1'))
    await all(
      client.streamOutput('job_1', {
        onJob: ({ status }) => states.push(status),
        onLogs: ({ text, truncated }) => logs.push(`${text} ${truncated}`),
      }),
    )
    expect(paths).toEqual(['/v1/jobs/job_1/output', '/v1/jobs/job_1/output?include=job%2Clogs'])
    expect([states, logs]).toEqual([
      ['queued', 'succeeded'],
      ['a true', 'ab true', 'z true'],
    ])
  })

  test('is closed by break, and by a handler that throws', async () => {
    const text = event('job', job('queued')) + output('1:4', 'Once')
    const first = scripted(text)
    for await (const _ of first.client.streamOutput('job_1')) break
    const second = scripted(text)
    await expect(all(second.client.streamOutput('job_1', { onJob: fail }))).rejects.toBe(oops)
    for (const { asked } of [first, second])
      await until(() => expect(asked.map(({ aborted }) => aborted)).toEqual([true]))
  })

  test('is also one of the job, whose JSON and copies do not have it', async () => {
    const { client } = scripted({ json: job('queued') }, output('1:4', 'Once') + done('succeeded'))
    const made = await client.get('job_1')
    expect([JSON.stringify(made), Object.keys({ ...made })]).toEqual([job('queued'), ['id', 'status', 'completed_at']])
    expect(await all(made.stream())).toEqual(['Once'])
  })

  test('throws the refusal of the service', async () => {
    await expect(all(scripted(404).client.streamOutput('job_1'))).rejects.toMatchObject({ status: 404 })
  })
})

test('changes name their filters to the service, and operators the tenant', async () => {
  const { client, paths } = scripted('')
  const filters = { status: 'failed', preset: 'p', batch: 'bat_1', user: 'u 1', metadata: { page: 7 } } as const
  for (const options of [{}, filters, { tenant: 'all', status: 'failed' }, { tenant: 'acme' }] as const) {
    const asked = paths.length
    const { close } = client.changes({ onJob: () => undefined, ...options })
    await until(() => expect(paths).toHaveLength(asked + 1))
    close()
  }
  expect(paths).toEqual([
    '/v1/events',
    '/v1/events?status=failed&preset=p&batch=bat_1&user=u+1&metadata.page=7',
    '/v1/admin/events?status=failed',
    '/v1/admin/events?tenant=acme',
  ])
})

test('a hundred reconnections leave no listener behind', async () => {
  vi.useFakeTimers()
  const listened = vi.spyOn(AbortSignal.prototype, 'addEventListener')
  const { client, asked } = scripted(503)
  const { close } = client.changes({ onJob: () => undefined })
  while (asked.length < 100) await vi.advanceTimersByTimeAsync(8_000)
  const signals = new Set(listened.mock.contexts)
  expect(signals.size).toBeGreaterThan(0)
  const left = [...signals].map((signal) => getEventListeners(signal as AbortSignal, 'abort').length)
  expect(Math.max(...left)).toBeLessThanOrEqual(1)
  close()
  await vi.advanceTimersByTimeAsync(8_000)
  expect([...signals].flatMap((signal) => getEventListeners(signal as AbortSignal, 'abort'))).toEqual([])
})

test('each listener of the client, the command line and Studio is removed', () => {
  const root = join(import.meta.dirname, '../..')
  /** Added once, when the page or the command is loaded, for all its life. */
  const lasting = new Set(['src/studio/main.tsx', 'src/studio/session.ts', 'src/cli/main.ts'])
  const files = ['src/client', 'src/cli', 'src/studio'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name}`)
      .filter((name) => /\.tsx?$/.test(name) && !lasting.has(name)),
  )
  expect(files.length).toBeGreaterThan(50)
  for (const file of files) {
    const source = readFileSync(join(root, file), 'utf8')
    const of = (pattern: RegExp): string[] => [...source.matchAll(pattern)].map(([, what = '']) => what).sort()
    // One without a name cannot be removed, and does not match what is removed.
    expect(of(/\bremoveEventListener\(([^,]+, \w+)/g), file).toEqual(of(/\baddEventListener\(([^,]+, [\w(]+)/g))
    expect(of(/\.off\(('[^']+', \w+)/g), file).toEqual(of(/\.(?:on|once)\(('[^']+', [\w(]+)/g))
  }
})
