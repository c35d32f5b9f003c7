import { expect, test, vi } from 'vitest'
import { createEventStreams } from '../../src/api/event-streams.ts'
import type { ServerEvent } from '../../src/api/http.ts'
import type { Job } from '../../src/client/types.ts'
import type { EventHub, JobChange } from '../../src/shared/events/event-hub.ts'
import type { JobRecord } from '../../src/shared/jobs/rules/job.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from './support/job-states.ts'

const TENANT = 'default'
const EPOCH = 'dep1'

/** The stream of a tenant over a hub that the test speaks for. */
function streamOf(options: { last?: string; missed?: () => Promise<JobChange[]>; read?: () => Promise<unknown> } = {}) {
  let notify: (change: JobChange) => void = () => undefined
  let fallSilent = (): void => undefined
  const hub: EventHub = {
    onJob: () => () => undefined,
    onBatch: () => () => undefined,
    onTenant: (_tenant, listener) => {
      notify = listener
      return () => undefined
    },
    since: options.missed ?? (async () => []),
    position: async () => '1-0',
    onSilence: (listener) => {
      fallSilent = listener
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
  const answer = streams.ofTenant(TENANT, options.last ?? null)
  if (!('events' in answer)) throw new Error('no stream')
  const sent: string[] = []
  const end = vi.fn<() => void>()
  let taken = Promise.resolve()
  answer.events(async ({ id, event, data }: ServerEvent) => {
    sent.push(`${id.slice(EPOCH.length + 1)} ${event === 'job' ? (data as Job).id : event}`)
    await taken
  }, end)
  return {
    sent,
    end,
    reads,
    fallSilent: () => fallSilent(),
    change: (stream: string | null, job: string) => notify({ job, stream, tenant: TENANT, batch: '' }),
    /** The reader takes nothing until the answer is called. */
    stall(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      taken = promise
      return () => {
        taken = Promise.resolve()
        resolve()
      }
    },
    begins: () => waitFor('the first event', () => sent.length > 0),
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('a reader that got the id of a change has got all changes before it, also under frequent changes', async () => {
  const { sent, change, stall, begins } = streamOf()
  await begins()
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
  const { reads, end, change, stall, begins } = streamOf()
  await begins()
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

test('what was missed goes before what comes meanwhile', async () => {
  const { promise, resolve } = Promise.withResolvers<JobChange[]>()
  const { sent, change } = streamOf({ last: `${EPOCH}-2-0`, missed: () => promise })
  change('9-0', 'live')
  await settle()
  expect(sent).toEqual([])
  resolve([{ job: 'missed', stream: '3-0', tenant: TENANT, batch: '' }])
  await waitFor('both', () => sent.length === 3)
  expect(sent).toEqual(['2-0 ready', '3-0 missed', '9-0 live'])
})

test('a change that cannot be read ends the stream where it was: it is not missed', async () => {
  let away = false
  const { sent, end, change, begins } = streamOf({
    read: async () => {
      if (away) throw new Error('Redis is away')
    },
  })
  await begins()
  change('2-0', 'a')
  await waitFor('the first', () => sent.length === 2)
  away = true
  change('3-0', 'b')
  await waitFor('the end', () => end.mock.calls.length > 0)
  expect(sent).toEqual(['1-0 ready', '2-0 a'])
})

test('a stream that cannot begin says so and ends', async () => {
  const { sent, end } = streamOf({ last: `${EPOCH}-1-0`, missed: () => Promise.reject(new Error('away')) })
  await waitFor('the end', () => end.mock.calls.length > 0)
  expect(sent).toEqual([' reset'])
})

test('a stream ends when Redis falls silent, because changes are no longer seen', async () => {
  const { end, fallSilent, begins } = streamOf()
  await begins()
  expect(end).not.toHaveBeenCalled()
  fallSilent()
  expect(end).toHaveBeenCalledTimes(1)
})
