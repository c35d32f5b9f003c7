import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Replicate from 'replicate'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startProcesses, type Fleet } from '../support/start-processes.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/**
 * The official client sends a create again when its connection breaks, with nothing that says so. Several api processes, and
 * between them and the client something that cuts.
 */

let fleet: Fleet
beforeAll(async () => {
  fleet = await startProcesses({
    apis: 3,
    workers: 1,
    simulatorArgs: ['--speed', '50', '--creates-per-minute', '60000'],
  })
})
afterAll(() => fleet.stop())

const FLUX = 'black-forest-labs/flux-schnell'
/** replicate/hello-world: quick, and cheap to simulate. */
const QUICK = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

/** Where a proxy breaks a connection: before the request is passed on, before the answer comes, or after all of it came. */
type Cut = 'before' | 'during' | 'after' | null

interface Proxy {
  url: string
  /** How many connections were cut in each way. */
  cuts: Record<'before' | 'during' | 'after', number>
}

/**
 * `cutOf`: what happens to a create, by its number from 0. `target`: the api that it goes to, awaited before it is passed
 * on. `isAccepted`: whether a create can be cut during its answer.
 */
async function cuttingProxy(
  cutOf: (create: number) => Cut,
  target: (create: number) => string | Promise<string>,
  isAccepted: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<Proxy> {
  const cuts = { before: 0, during: 0, after: 0 }
  let creates = 0
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const isCreate = incoming.method === 'POST' && incoming.url?.endsWith('/predictions') === true
    const number = isCreate ? creates++ : 0
    const cut = isCreate ? cutOf(number) : null
    if (cut !== null) cuts[cut]++
    if (cut === 'before') return void incoming.socket.destroy()
    const { hostname, port } = new URL(await target(number))
    const passed = forward(
      {
        host: hostname,
        port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...incoming.headers, connection: 'close' },
      },
      (answer) => {
        if (cut === 'after') {
          answer.resume().on('end', () => incoming.socket.destroy())
          return
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    outgoing.on('close', () => passed.destroy())
    incoming.pipe(passed)
    if (cut === 'during') {
      await waitFor('the create to be accepted', isAccepted)
      passed.destroy()
      incoming.socket.destroy()
    }
  }
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cuts }
}

const clientOf = (url: string): Replicate =>
  new Replicate({ auth: TEST_KEY, baseUrl: `${url}/replicate/v1`, useFileOutput: false })

/** Two api processes in turn; the third one is there to be killed. */
const api = (i: number): string => fleet.urls[i % 2] ?? ''

/** Ids of all jobs whose prompt or text is this one. */
async function jobsWith(prompt: string): Promise<string[]> {
  const [client] = fleet.clients
  const ids: string[] = []
  for await (const job of client?.list({ limit: 100 }) ?? [])
    if (Object.values(job.input ?? {}).includes(prompt)) ids.push(job.id)
  return ids
}

/** Whether a create can be claimed. */
async function hasLost(): Promise<boolean> {
  const requests = await fleet.redis.keys(fleet.keys.answering('*'))
  return (await Promise.all(requests.map((key) => fleet.redis.hvals(key)))).flat().includes('')
}

describe('a create whose answer is lost', () => {
  test('before the answer is sent again, and is one job', async () => {
    const proxy = await cuttingProxy((create) => (create === 0 ? 'before' : null), api)
    const output = await clientOf(proxy.url).run(FLUX, { input: { prompt: 'cut before' } })
    expect(output).toEqual([expect.stringMatching(/^http/)])
    expect(proxy.cuts.before).toBe(1)
    expect(await jobsWith('cut before')).toHaveLength(1)
  })

  test('during the answer is sent again, and gets the same job', async () => {
    const [worker] = fleet.workers
    // The answer waits for the end of the job.
    worker?.signal('SIGSTOP')
    const target = async (create: number): Promise<string> => {
      if (create === 1) {
        await waitFor('the lost answer to be recorded', hasLost)
        worker?.signal('SIGCONT')
      }
      return api(create)
    }
    const isAccepted = async (): Promise<boolean> => (await jobsWith('cut during')).length === 1
    const proxy = await cuttingProxy((create) => (create === 0 ? 'during' : null), target, isAccepted)
    const output = await clientOf(proxy.url).run(FLUX, { input: { prompt: 'cut during' } })
    expect(output).toEqual([expect.stringMatching(/^http/)])
    expect(proxy.cuts.during).toBe(1)
    expect(await jobsWith('cut during')).toHaveLength(1)
  })

  test('and whose job was canceled or deleted since is a new job', async () => {
    const [url] = fleet.urls
    const [client] = fleet.clients
    const [worker] = fleet.workers
    worker?.signal('SIGSTOP')
    onTestFinished(() => worker?.signal('SIGCONT'))
    const proxy = await cuttingProxy(
      () => 'during',
      () => url ?? '',
      async () => (await jobsWith('given up')).length === jobs + 1,
    )
    let jobs = 0
    const create = (base: string, wait: boolean): Promise<{ id: string; status: string }> =>
      fetch(`${base}/replicate/v1/models/${FLUX}/predictions`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${TEST_KEY}`,
          'content-type': 'application/json',
          ...(wait ? { prefer: 'wait' } : {}),
        },
        body: JSON.stringify({ input: { prompt: 'given up' } }),
      }).then((response) => response.json() as Promise<{ id: string; status: string }>)
    for (const isDeleted of [false, true]) {
      jobs = (await jobsWith('given up')).length
      const before = await jobsWith('given up')
      await expect(create(proxy.url, true)).rejects.toThrow('fetch failed')
      await waitFor('the lost answer to be recorded', hasLost)
      const [lost = ''] = (await jobsWith('given up')).filter((id) => !before.includes(id))
      await client?.cancel(lost)
      if (isDeleted) await client?.delete(lost)
      const next = await create(url ?? '', false)
      expect(next).toMatchObject({ status: 'starting' })
      expect(`job_${next.id.toUpperCase()}`).not.toBe(lost)
    }
  })

  test('cannot be recognised after all of it has left the process, except by a key', async () => {
    const proxy = await cuttingProxy((n) => (n % 2 === 0 ? 'after' : null), api)
    await clientOf(proxy.url).predictions.create({ model: FLUX, input: { prompt: 'cut after' } })
    expect(await jobsWith('cut after')).toHaveLength(2)
    const create = async (): Promise<Response> =>
      fetch(`${proxy.url}/replicate/v1/models/${FLUX}/predictions`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${TEST_KEY}`,
          'content-type': 'application/json',
          'idempotency-key': 'cut-after',
        },
        body: JSON.stringify({ input: { prompt: 'cut after, with a key' } }),
      })
    await expect(create()).rejects.toThrow('fetch failed')
    expect((await create()).status).toBe(201)
    expect(await jobsWith('cut after, with a key')).toHaveLength(1)
  })

  test('because its process was killed is answered by another process, once', async () => {
    let killed = false
    const proxy = await cuttingProxy(
      () => null,
      () => (killed ? api(0) : (fleet.urls[2] ?? '')),
    )
    const [worker] = fleet.workers
    worker?.signal('SIGSTOP')
    const running = clientOf(proxy.url).run(FLUX, { input: { prompt: 'killed' } })
    await waitFor('the job to be accepted', async () => (await jobsWith('killed')).length === 1)
    killed = true
    await fleet.apis[2]?.kill('SIGKILL')
    worker?.signal('SIGCONT')
    expect(await running).toEqual([expect.stringMatching(/^http/)])
    expect(await jobsWith('killed')).toHaveLength(1)
  })
})

test('a hundred creates, many of them equal, through cuts: no two calls get one job, and each job has one prediction', async () => {
  const kinds: Cut[] = ['before', null, 'during', null, 'after', null, null, 'during']
  const proxy = await cuttingProxy((n) => kinds[n % kinds.length] ?? null, api)
  const client = clientOf(proxy.url)
  const calls = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) =>
      client.predictions.create({ version: QUICK, input: { text: `many ${i % 10}` }, wait: i % 3 === 0 }),
    ),
  )
  const returned = calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value.id] : []))
  expect(new Set(returned).size).toBe(returned.length)
  const jobs = (await Promise.all(Array.from({ length: 10 }, (_, i) => jobsWith(`many ${i}`)))).flat()
  const surplus = jobs.length - returned.length
  // An answer that is lost on its way leaves a job that nobody asks for. So may one that is not known to be lost within the
  // quarter of a second for which an equal create waits, because the machine is slow.
  expect(surplus).toBeGreaterThanOrEqual(0)
  expect(surplus).toBeLessThanOrEqual(proxy.cuts.after + proxy.cuts.during)
  const [first] = fleet.clients
  for (const id of jobs) expect(await first?.wait(id)).toMatchObject({ status: 'succeeded', attempt: 1 })
  const prompts = new Set(jobs)
  const books = await fleet.simulator.books()
  const ours = books.predictions.filter(({ webhook }) => prompts.has(/job_[0-9A-Z]{26}/.exec(webhook ?? '')?.[0] ?? ''))
  expect(ours).toHaveLength(jobs.length)
})
