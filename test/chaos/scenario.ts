import { request, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { createClient } from '../../src/client/client.ts'
import type { Job, JobRequest } from '../../src/client/types.ts'
import { createRedisCreditStore } from '../../src/shared/credits/redis-credit-store.ts'
import { decodeHistory } from '../../src/shared/jobs/record/record-codec.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import { DEFAULT_TENANT } from '../../src/shared/tenants/rules/tenant.ts'
import { finished } from '../support/finished.ts'
import type { Books } from '../support/simulator-admin.ts'
import type { SpawnedProcess } from '../support/spawn-process.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { PATIENCE_MS, waitFor } from '../support/wait-for.ts'
import type { Border } from './borders.ts'
import { running, startChaosFleet, type ChaosFleet, type FleetOptions } from './fleet.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

export const hello = (text: string, more: Partial<JobRequest> = {}): JobRequest => ({
  version: HELLO,
  input: { text },
  ...more,
})
export const paidPicture = (prompt: string): JobRequest => ({ preset: 'paid-picture', input: { prompt } })
/** Runs for 60 to 120 s, divided by the simulator's speed. */
export const long = (prompt: string): JobRequest => ({ model: 'google/gemini-3-pro', input: { prompt } })

/** A fleet with a running api, and what the named scenarios ask of it. */
export async function startScenarios(options: FleetOptions = {}) {
  const fleet: ChaosFleet = await startChaosFleet(options)
  const client = createClient({ baseUrl: fleet.apiUrl, key: TEST_KEY })
  const workers = new Set<SpawnedProcess>()
  let api = fleet.spawn('api')
  await running(api).catch(async (error: unknown) => {
    await fleet.stop()
    throw error
  })

  const scenario = {
    fleet,
    client,
    get api() {
      return api
    },
    /** A worker, without a fault unless one is given. */
    async worker(...args: Parameters<ChaosFleet['spawn']> extends [string, ...infer Rest] ? Rest : never) {
      const worker = fleet.spawn('worker', ...args)
      workers.add(worker)
      await worker.waitForLine(/^chaos: (running|SIG)/)
      return worker
    },
    /** Starts a worker and waits until a border has killed it. */
    async killedAt(border: Border, pass = 1): Promise<void> {
      const worker = await scenario.worker({ border, pass, signal: 'SIGKILL' })
      await worker.waitForLine(/^chaos: SIGKILL/)
      await worker.exited
      workers.delete(worker)
    },
    /** Another api on the same address. */
    async replaceApi(...args: Parameters<ChaosFleet['spawn']> extends [string, ...infer Rest] ? Rest : never) {
      await api.kill('SIGKILL')
      api = fleet.spawn('api', ...args)
      await running(api)
    },
    /** A worker as in production, with its durations. */
    async productionWorker() {
      const worker = fleet.spawnMain('worker')
      workers.add(worker)
      await worker.waitForLine(/is running/)
      return worker
    },
    async noWorkers(): Promise<void> {
      await Promise.all([...workers].map((worker) => worker.kill('SIGKILL')))
      workers.clear()
      await fleet.simulator.clearFaults()
    },
    finished: (id: string, timeout = PATIENCE_MS): Promise<Job> => finished({ client }, id, timeout),
    phase: (id: string, ...phases: Job['phase'][]): Promise<Job> =>
      waitFor(`${id} to be ${phases.join(' or ')}`, async () => {
        const job = await client.get(id)
        return phases.includes(job.phase) ? job : undefined
      }),
    /** Who brought what happened to the job. */
    async causes(id: string): Promise<string[]> {
      const hash = await fleet.inspect.hgetall(fleet.keys.job(id))
      return decodeHistory(Object.entries(hash).flat()).map(({ entry: { phase, cause } }) => `${phase} by ${cause}`)
    },
    attempt: async (id: string, n: number, field: string): Promise<string | null> =>
      fleet.inspect.hget(fleet.keys.job(id), `${n}.${field}`),
    /** What the job moved in the ledger, oldest first. */
    async movements(id: string): Promise<string[]> {
      const { entries } = await createRedisCreditStore({ redis: fleet.inspect, keys: fleet.keys }).ledger(
        DEFAULT_TENANT,
        { limit: 10, job: id },
      )
      return entries.map(({ kind, amount }) => `${kind} ${amount}`).toReversed()
    },
    /** Upstream's rows that carry the job. */
    rows: async (id: string): Promise<Books['predictions']> =>
      (await fleet.simulator.books()).predictions.filter(({ webhook }) => webhook?.includes(id)),
    /** A raw answer of the api; null when there was none. */
    async ask(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
      try {
        const response = await fetch(fleet.apiUrl + path, {
          method,
          headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
        const answer = (await response.json()) as { id?: string; code?: string }
        return { status: response.status, headers: response.headers, body: answer }
      } catch {
        return null
      }
    },
    /** A submission whose sender has been let in, and whose body is still to come. */
    async beginSubmission(headers: Record<string, string>) {
      const counted = (): Promise<string | null> =>
        fleet.inspect.hget(createTenantKeys(fleet.keys.tag).requests, DEFAULT_TENANT)
      const before = await counted()
      const sent = request(`${fleet.apiUrl}/v1/jobs`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
      })
      const answered = new Promise<IncomingMessage>((resolve, reject) =>
        sent.on('response', resolve).on('error', reject),
      )
      sent.flushHeaders()
      await waitFor('the sender to be let in', async () => (await counted()) !== before)
      return async (body: object): Promise<{ status: number | undefined; body: unknown }> => {
        sent.end(JSON.stringify(body))
        const answer = await answered
        return { status: answer.statusCode, body: await json(answer) }
      }
    },
    async stop(): Promise<void> {
      await scenario.noWorkers()
      await api.kill('SIGKILL')
      await fleet.stop()
    },
  }
  return scenario
}

export type Scenario = Awaited<ReturnType<typeof startScenarios>>
