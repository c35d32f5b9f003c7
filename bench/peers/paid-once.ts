import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { acceptedSchema, hasResult, type Peer, type RunningPeer, startPeer } from './peers.ts'
import type { Run } from './processes.ts'
import { type LossyProxy, type Simulator, startLossyProxy, startSimulator } from './upstream.ts'

/** Whether each job is paid for once and gets its result, whatever breaks. */

/** How long jobs stay without an answer to their creates, or without their store, ms. */
const OUTAGE_MS = 3_000
const HELD_TIMEOUT_MS = 60_000

interface Scene {
  peer: RunningPeer
  proxy: LossyProxy
  simulator: Simulator
}

export interface Fault {
  title: string
  /** Before the jobs are submitted. */
  prepare(scene: Scene): Promise<void> | void
  /** When every job has been submitted and its first create is lost, if it is to be. */
  strike(scene: Scene): Promise<void> | void
  /** The strike waits until the response of each job's first create is held back. */
  holds?: true
}

export const FAULTS: readonly Fault[] = [
  {
    title: 'connection cut after the create',
    prepare: ({ proxy }) => proxy.lose('cut'),
    strike() {},
  },
  {
    title: 'worker killed while it waits',
    prepare: ({ proxy }) => proxy.lose('hold'),
    holds: true,
    strike: ({ peer }) => peer.killProgram(),
  },
  {
    title: 'webhook lost',
    prepare: ({ simulator }) => simulator.faults({ webhooks: { drop: 1 } }),
    strike() {},
  },
  {
    title: 'webhook delivered twice',
    prepare: ({ simulator }) => simulator.faults({ webhooks: { duplicate: { probability: 1, times: 1 } } }),
    strike() {},
  },
  {
    title: 'store killed',
    prepare: ({ proxy }) => proxy.lose('hold'),
    holds: true,
    async strike({ peer, proxy }) {
      await peer.store.kill()
      proxy.release()
      await delay(OUTAGE_MS)
      await peer.store.start()
    },
  },
]

export interface Outcome {
  jobs: number
  predictions: number
  withoutResult: number
}

/** Runs `jobs` jobs through one fault, and watches them for `watchMs`: some peers retry late. */
export async function runFault(
  run: Run,
  peer: Peer,
  fault: Fault,
  { folder, jobs, watchMs }: { folder: string; jobs: number; watchMs: number },
): Promise<Outcome> {
  const simulator = await startSimulator(run, join(folder, 'simulator'))
  const proxy = await startLossyProxy(simulator.url)
  const running = await startPeer(run, peer, { folder, simulator, upstream: proxy.url, supervised: true })
  try {
    await fault.prepare({ peer: running, proxy, simulator })
    const texts = Array.from({ length: jobs }, (_, index) => `job ${index}`)
    const ids = await Promise.all(texts.map((text) => submit(running, text)))
    if (fault.holds) await untilHeld(proxy, jobs)
    await fault.strike({ peer: running, proxy, simulator })

    const open = new Set(ids)
    const until = performance.now() + watchMs
    for (; performance.now() < until; await delay(500))
      for (const id of open) if (await isDone(running, id)) open.delete(id)
    const predictions = texts.reduce((sum, text) => sum + proxy.predictions(text), 0)
    return { jobs, predictions, withoutResult: open.size }
  } finally {
    await running.stop()
    proxy.stop()
  }
}

async function submit({ url, path, headers, body }: RunningPeer, text: string): Promise<string> {
  const response = await fetch(url + path, { method: 'POST', headers, body: body(text) })
  if (response.status !== 202) throw new Error(`A submission returned ${response.status}: ${await response.text()}`)
  return acceptedSchema.parse(await response.json()).id
}

async function untilHeld(proxy: LossyProxy, count: number): Promise<void> {
  for (const begun = performance.now(); proxy.held < count; await delay(20))
    if (performance.now() - begun > HELD_TIMEOUT_MS) throw new Error(`Only ${proxy.held} of ${count} creates arrived`)
}

/** False also while the peer does not respond. */
async function isDone({ url, path, headers }: RunningPeer, id: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}${path}/${id}`, { headers, signal: AbortSignal.timeout(2_000) })
    return hasResult(response.status, await response.text())
  } catch {
    return false
  }
}
