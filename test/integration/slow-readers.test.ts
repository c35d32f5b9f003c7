import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JobRequest } from '../../src/client/types.ts'
import { finished, submitMany } from '../support/finished.ts'
import { startOwnRedis } from '../support/redis.ts'
import { startProcesses, type Fleet } from '../support/start-processes.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Those who listen to the service and take nothing. Numbers are those of docs/failure-modes.md's list of tests. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const READERS = 120
const JOBS = 40
/** Each event holds the whole job. */
const BYTES = 60_000

let fleet: Fleet
beforeAll(async () => {
  // Not the one that all files share, because a test here cuts every connection to it.
  const { url } = await startOwnRedis()
  fleet = await startProcesses({
    redisUrl: url,
    apis: 1,
    workers: 1,
    env: { REPLICATE_CREATES_PER_MINUTE: '6000', LOG_LEVEL: 'debug' },
    simulatorArgs: ['--speed', '20', '--creates-per-minute', '60000', '--reads-per-minute', '60000'],
  })
})
afterAll(() => fleet.stop())

const request = (text: string): JobRequest => ({ version: HELLO, input: { text } })
const api = (): { client: Fleet['clients'][number]; url: string } => {
  const [client] = fleet.clients
  const [url] = fleet.urls
  if (!client || !url) throw new Error('no api')
  return { client, url }
}

async function residentMegabytes(): Promise<number> {
  const text = await (await fetch(`${api().url}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 1e6
}

/** Listens to all jobs: reads the beginning, and then nothing more until `resume`. */
async function slowReader() {
  const socket: Socket = connect(Number(new URL(api().url).port), '127.0.0.1')
  const over = new Set<string>()
  let rest = Buffer.alloc(0)
  socket.on('error', () => undefined)
  socket.write(`GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`)
  await new Promise<void>((resolve) => {
    socket.once('data', () => {
      socket.pause()
      resolve()
    })
  })
  return {
    /** The jobs of which it heard that they are over. */
    over,
    resume() {
      socket.on('data', (chunk) => {
        const text = Buffer.concat([rest, chunk])
        const mark = 'data: {"id":"'
        for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + 1)) {
          const head = text.toString('latin1', at, at + 90)
          const id = /"id":"(job_\w+)","status":"succeeded"/.exec(head)?.[1]
          if (id) over.add(id)
        }
        rest = Buffer.from(text.subarray(-90))
      })
      socket.resume()
    },
    leave: () => socket.destroy(),
  }
}

test(`F51 ${READERS} readers that take nothing cost little memory, and get the end of every job when they read on`, async () => {
  const readers = await Promise.all(Array.from({ length: READERS }, slowReader))
  const before = await residentMegabytes()
  const ids = await submitMany(api(), JOBS, (i) => request(`${i} ${'x'.repeat(BYTES)}`))
  for (const id of ids) expect((await finished(api(), id)).status).toBe('succeeded')
  // At least three events of each job, to each reader, would be 860 MB. What garbage is left differs from run to run.
  expect((await residentMegabytes()) - before).toBeLessThan(210)
  const some = readers.filter((_reader, i) => i % 10 === 0)
  for (const reader of readers) if (!some.includes(reader)) reader.leave()
  for (const reader of some) reader.resume()
  for (const { over } of some) await waitFor('the end of every job', () => ids.every((id) => over.has(id)))
  for (const reader of some) reader.leave()
})

const STORM = 200

/** Follows all jobs over connections that are cut, each of which continues after the last event that arrived. */
function resumingReader() {
  const statuses = new Map<string, string[]>()
  const kinds = new Set<string>()
  let last = ''
  let socket: Socket | null = null
  let isOver = false
  function connectAgain(): void {
    if (isOver) return
    const mine = connect(Number(new URL(api().url).port), '127.0.0.1')
    socket = mine
    let rest = ''
    mine.setEncoding('utf8')
    mine.on('error', () => undefined)
    // A service that has just lost Redis refuses, or ends a stream.
    mine.on('close', () => void (mine === socket && setTimeout(connectAgain, 50)))
    mine.on('data', (chunk: string) => {
      const blocks = (rest + chunk).split('\n\n')
      rest = blocks.pop() ?? ''
      if (mine !== socket) return
      for (const block of blocks) {
        // After the size of a chunk.
        const [, id, event = '', data = ''] = /^id: (.+)\nevent: (\w+)\ndata: (.*)$/m.exec(block) ?? []
        if (id === undefined) continue
        last = id
        kinds.add(event)
        const [, job = '', status = ''] = /^\{"id":"(job_\w+)","status":"(\w+)"/.exec(data) ?? []
        if (event === 'job') statuses.set(job, [...(statuses.get(job) ?? []), status])
      }
    })
    const resume = last === '' ? '' : `Last-Event-ID: ${last}\r\n`
    mine.write(
      `GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer ${TEST_KEY}\r\n${resume}\r\n`,
    )
  }
  connectAgain()
  return {
    statuses,
    kinds,
    hasBegun: () => last !== '',
    /** Cuts the connection within whatever it sends, and opens another at once. */
    cut(): void {
      socket?.destroy()
    },
    leave(): void {
      isOver = true
      socket?.destroy()
    },
  }
}

test(`F51 ${STORM} readers that reconnect together, while Redis cuts all connections too, miss no end`, async () => {
  const readers = Array.from({ length: STORM }, resumingReader)
  await waitFor('all beginnings', () => readers.every((reader) => reader.hasBegun()))
  const before = await residentMegabytes()
  const ids: string[] = []
  for (const round of [1, 2, 3, 4]) {
    ids.push(...(await submitMany(api(), 8, (i) => request(`storm ${round} ${i}`))))
    for (const reader of readers) reader.cut()
    if (round === 2) {
      await fleet.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      await fleet.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    }
  }
  for (const id of ids) expect((await finished(api(), id)).status).toBe('succeeded')
  for (const { statuses } of readers)
    await waitFor('the end of every job', () => ids.every((id) => statuses.get(id)?.at(-1) === 'succeeded'))
  const order = ['queued', 'starting', 'processing', 'succeeded']
  for (const { statuses, kinds } of readers) {
    expect(kinds).not.toContain('reset')
    for (const seen of statuses.values())
      expect(seen).toEqual(seen.toSorted((a, b) => order.indexOf(a) - order.indexOf(b)))
  }
  expect((await residentMegabytes()) - before).toBeLessThan(210)
  for (const reader of readers) reader.leave()
  await waitFor('a ready service', async () => (await fetch(`${api().url}/readyz`)).status === 200)
})

test('F50 a log that is no longer read blocks nothing', async () => {
  for (const one of [...fleet.apis, ...fleet.workers]) one.stopReading()
  const ids = await submitMany(api(), 300, (i) => request(`unheard ${i}`))
  for (const id of ids) expect((await finished(api(), id)).status).toBe('succeeded')
  // Far more was written than a pipe holds.
  expect((await fetch(`${api().url}/readyz`)).status).toBe(200)
  for (const one of [...fleet.workers, ...fleet.apis])
    expect(await one.kill('SIGTERM')).toEqual({ code: 0, signal: null })
})
