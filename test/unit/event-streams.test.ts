import { expect, test, vi } from 'vitest'
import { createEventStreams } from '../../src/api/event-streams.ts'
import type { EventSource, ServerEvent } from '../../src/api/http.ts'
import type { Job } from '../../src/client/types.ts'
import type { EventHub, JobChange } from '../../src/shared/events/event-hub.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from './support/job-states.ts'

const TENANT = 'default'
const EPOCH = 'dep1'

interface Scene {
  last?: string
  missed?: () => Promise<JobChange[] | null>
  position?: () => Promise<string>
  read?: () => Promise<unknown>
  isWanted?: (job: JobRecord) => boolean
  batch?: string
  of?: string | null
}

/** Streams over a hub that the test speaks for. */
function streamsOf(options: Scene = {}) {
  const notified = new Set<(change: JobChange) => void>()
  let fallSilent = (): void => undefined
  let isSilent = false
  let seen = '1-0'
  const hub: EventHub = {
    onJob: () => () => undefined,
    onBatch: () => () => undefined,
    onAnnouncement: async () => () => undefined,
    onTenant: (_tenant, listener) => {
      notified.add(listener)
      return () => void notified.delete(listener)
    },
    since: options.missed ?? (async () => []),
    position: options.position ?? (async () => '1-0'),
    seen: () => seen,
    isSilent: () => isSilent,
    onSilence: (listener) => {
      fallSilent = () => {
        isSilent = true
        listener()
      }
      return () => undefined
    },
    stop: async () => undefined,
  }
  const reads: string[] = []
  const streams = createEventStreams({
    hub,
    store: {
      async read(id) {
        reads.push(id)
        await options.read?.()
        return { ...jobRecord('queued'), id, tenant: TENANT } satisfies JobRecord
      },
    },
    show: async (job) => ({ id: job.id }) as Job,
    epoch: EPOCH,
    limits: { perTenant: 10, total: 10 },
    log: createLogger({ level: 'silent', readable: false }),
  })
  const change = (stream: string | null, job: string, batch = ''): void => {
    seen = stream ?? seen
    for (const listener of notified) listener({ job, stream, tenant: TENANT, batch })
  }
  return { streams, reads, notified, change, fallSilent: () => fallSilent() }
}

/** What a reader gets of a source. */
function readerOf(source: EventSource) {
  const sent: string[] = []
  const end = vi.fn<() => void>()
  let taken = Promise.resolve()
  const stop = source(async ({ id, event, data }: ServerEvent) => {
    sent.push(`${id.slice(EPOCH.length + 1)} ${event === 'job' ? (data as Job).id : event}`)
    await taken
  }, end)
  return {
    sent,
    end,
    stop,
    /** The reader takes nothing until the answer is called. */
    stall(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      taken = promise
      return () => {
        taken = Promise.resolve()
        resolve()
      }
    },
  }
}

/** The stream of a tenant. */
async function streamOf(options: Scene = {}) {
  const scene = streamsOf(options)
  const { last = null, isWanted = () => true, batch, of = TENANT } = options
  const answer = await scene.streams.ofMany({ of, reader: TENANT, last, isWanted, batch })
  if (!('events' in answer)) throw new Error('no stream')
  return { ...scene, ...readerOf(answer.events) }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('a reader that got the id of a change has got all changes before it, also under frequent changes', async () => {
  const { sent, change, stall } = await streamOf()
  const takesOn = stall()
  change('2-0', 'a')
  await settle()
  change('3-0', 'a')
  change('4-0', 'b')
  change('5-0', 'a')
  change(null, 'b')
  await settle()
  expect(sent).toEqual(['1-0 ready', '2-0 a'])
  takesOn()
  await waitFor('all', () => sent.length === 4)
  expect(sent.slice(2)).toEqual(['4-0 b', '5-0 a'])
})

test('a reader that takes nothing is read for no more, and is sent away when too much waits', async () => {
  const { reads, end, change, stall } = await streamOf()
  stall()
  change('2-0', 'a')
  await settle()
  for (let i = 0; i < 10_000; i++) change(`3-${i}`, `job ${i}`)
  await settle()
  expect(reads).toEqual(['a'])
  expect(end).not.toHaveBeenCalled()
  change('4-0', 'one more')
  expect(end).toHaveBeenCalled()
})

test('what was missed goes before what comes meanwhile, each change once', async () => {
  const { promise, resolve } = Promise.withResolvers<JobChange[]>()
  const scene = streamsOf({ missed: () => promise })
  const answer = scene.streams.ofMany({ of: TENANT, reader: TENANT, last: `${EPOCH}-2-0`, isWanted: () => true })
  scene.change('3-0', 'missed')
  scene.change('9-0', 'live')
  resolve([
    { job: 'missed', stream: '3-0', tenant: TENANT, batch: '' },
    { job: 'another', stream: '4-0', tenant: TENANT, batch: '' },
  ])
  const response = await answer
  if (!('events' in response)) throw new Error('no stream')
  const { sent } = readerOf(response.events)
  await waitFor('all', () => sent.length === 4)
  expect(sent).toEqual(['2-0 ready', '3-0 missed', '4-0 another', '9-0 live'])
})

test('a position that cannot be replayed begins with a reset', async () => {
  const trimmed = await streamOf({ last: `${EPOCH}-2-0`, missed: async () => null, position: async () => '7-0' })
  const foreign = await streamOf({ last: 'other-2-0' })
  expect([trimmed.sent, foreign.sent]).toEqual([['7-0 reset'], ['1-0 reset']])
})

test('a change that cannot be read ends the stream where it was: it is not missed', async () => {
  let away = false
  const { sent, end, change } = await streamOf({
    read: async () => {
      if (away) throw new Error('Redis is away')
    },
  })
  change('2-0', 'a')
  await waitFor('the first', () => sent.length === 2)
  away = true
  change('3-0', 'b')
  await waitFor('the end', () => end.mock.calls.length > 0)
  expect(sent).toEqual(['1-0 ready', '2-0 a', ' unavailable'])
})

test.each<[string, Scene]>([
  ['what was missed', { last: `${EPOCH}-1-0`, missed: () => Promise.reject(new Error('away')) }],
  ['its position', { position: () => Promise.reject(new Error('away')) }],
])('a stream that cannot read %s is refused, and holds nothing', async (_what, options) => {
  const { streams, notified } = streamsOf(options)
  for (let i = 0; i < 11; i++)
    await expect(
      streams.ofMany({ of: TENANT, reader: TENANT, last: options.last ?? null, isWanted: () => true }),
    ).rejects.toThrow('away')
  expect(notified.size).toBe(0)
})

test('a stream ends when Redis falls silent, and says so; another is refused', async () => {
  const { streams, sent, end, fallSilent } = await streamOf()
  expect(end).not.toHaveBeenCalled()
  fallSilent()
  expect([end.mock.calls.length, sent.at(-1)]).toEqual([1, ' unavailable'])
  const refused = expect.objectContaining({ code: 'unavailable' }) as unknown
  await expect(streams.ofMany({ of: TENANT, reader: TENANT, last: null, isWanted: () => true })).rejects.toEqual(
    refused,
  )
  expect(() => streams.ofJob(TENANT, 'a')).toThrow('cannot be read')
})

test('only wanted jobs are sent, and a batch is known without a read', async () => {
  const { sent, reads, change } = await streamOf({ isWanted: ({ id }) => id !== 'b', batch: 'bat_1' })
  change('2-0', 'a', 'bat_1')
  change('3-0', 'b', 'bat_1')
  change('4-0', 'c', 'bat_2')
  change('5-0', 'd')
  change(null, 'e')
  await waitFor('all', () => sent.length === 3)
  expect(sent).toEqual(['1-0 ready', '2-0 a', '3-0 e'])
  expect(reads).toEqual(['a', 'b', 'e'])
})

test('while changes can be read, a quiet stream says so, and its position moves on', async () => {
  vi.useFakeTimers()
  try {
    const { sent, change, fallSilent, stop } = await streamOf({ isWanted: () => false })
    change('2-0', 'a')
    await vi.advanceTimersByTimeAsync(15_000)
    change('8-0', 'b')
    await vi.advanceTimersByTimeAsync(15_000)
    const alive = sent.filter((event) => event.endsWith('alive'))
    expect([alive[0], alive.at(-1)]).toEqual(['2-0 alive', '8-0 alive'])
    fallSilent()
    const count = sent.length
    await vi.advanceTimersByTimeAsync(60_000)
    expect(sent).toHaveLength(count)
    stop()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('the stream of a job that cannot be read ends at its beginning, and later when it stays away', async () => {
  vi.useFakeTimers()
  // Reads come every 14.6 s: with shorter intervals there could be five failures after 16 s already.
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.9)
  try {
    let away = true
    const { streams } = streamsOf({ read: () => (away ? Promise.reject(new Error('away')) : Promise.resolve()) })
    const open = () => {
      const answer = streams.ofJob(TENANT, 'a')
      if (!('events' in answer)) throw new Error('no stream')
      return readerOf(answer.events)
    }
    const first = open()
    await vi.advanceTimersByTimeAsync(0)
    expect([first.sent, first.end.mock.calls.length]).toEqual([[' unavailable'], 1])
    first.stop()
    away = false
    const second = open()
    await vi.advanceTimersByTimeAsync(0)
    away = true
    // A read every 15 s without an event; then one a second.
    await vi.advanceTimersByTimeAsync(16_000)
    expect(second.end).not.toHaveBeenCalled()
    away = false
    await vi.advanceTimersByTimeAsync(1_000)
    away = true
    await vi.advanceTimersByTimeAsync(25_000)
    expect(second.end).toHaveBeenCalled()
    expect(second.sent.at(-1)).toBe(' unavailable')
    second.stop()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    random.mockRestore()
    vi.useRealTimers()
  }
})
