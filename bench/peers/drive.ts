import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { acceptedSchema, hasResult, type RunningPeer } from './peers.ts'

/** The load: jobs from some connections, then polling until each has its result. */

export interface Figures {
  acceptedPerSecond: number
  /** Of accepting, ms. */
  p50: number
  p99: number
  /** From the first submission to the last result. */
  donePerSecond: number
  /** Processor time per job of program and store, ms. */
  cpuPerJob: number
}

const WARM_UP_JOBS = 40
/** Few, so that polling is not the load. */
const POLLERS = 8
const POLL_MS = 15

interface Response {
  status: number
  body: string
}

export async function drive(peer: RunningPeer, jobs: number, connections: number): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const ask = (method: string, path: string, body = ''): Promise<Response> =>
    new Promise((resolve, reject) => {
      const headers = { ...peer.headers, 'content-length': Buffer.byteLength(body) }
      const sent = request(peer.url + path, { method, agent, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  const submit = async (text: string): Promise<string> => {
    const { status, body } = await ask('POST', peer.path, peer.body(text))
    if (status !== 202) throw new Error(`A submission returned ${status}: ${body}`)
    return acceptedSchema.parse(JSON.parse(body)).id
  }
  const finish = async (ids: string[]): Promise<void> => {
    const poll = async (): Promise<void> => {
      for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
        for (;;) {
          const { status, body } = await ask('GET', `${peer.path}/${id}`)
          if (hasResult(status, body)) break
          await delay(POLL_MS)
        }
      }
    }
    await Promise.all(Array.from({ length: POLLERS }, poll))
  }
  const submitAll = async (count: number, prefix: string): Promise<{ ids: string[]; latencies: number[] }> => {
    const [ids, latencies]: [string[], number[]] = [[], []]
    let next = 0
    const connection = async (): Promise<void> => {
      while (next < count) {
        const text = `${prefix} ${next++}`
        const begun = performance.now()
        const id = await submit(text)
        latencies.push(performance.now() - begun)
        ids.push(id)
      }
    }
    await Promise.all(Array.from({ length: connections }, connection))
    return { ids, latencies: latencies.toSorted((a, b) => a - b) }
  }

  try {
    await finish((await submitAll(WARM_UP_JOBS, 'warm-up')).ids)
    const cpuBefore = peer.cpu()
    const begun = performance.now()
    const { ids, latencies } = await submitAll(jobs, 'job')
    const accepted = performance.now() - begun
    await finish(ids)
    const done = performance.now() - begun
    const at = (share: number): number => latencies[Math.min(jobs - 1, Math.floor(jobs * share))] ?? 0
    return {
      acceptedPerSecond: (jobs * 1000) / accepted,
      p50: at(0.5),
      p99: at(0.99),
      donePerSecond: (jobs * 1000) / done,
      cpuPerJob: (peer.cpu() - cpuBefore) / jobs,
    }
  } finally {
    agent.destroy()
  }
}
