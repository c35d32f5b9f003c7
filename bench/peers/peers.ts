import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { freePort } from '../../src/shared/redis/redis-process.ts'
import { versionOf } from './install.ts'
import { cpuOf, killTrees, type Run, untilReady } from './processes.ts'
import { startStore, type Store, type StoreKind } from './stores.ts'
import type { Simulator } from './upstream.ts'

/** What is compared: each peer, how its job is submitted and asked for, and how it is started. */

export interface Peer {
  name: string
  title: string
  store: StoreKind
  /** The npm package; genqueue's own sources otherwise. */
  package?: string
}

export const BASELINE = 'bullmq'

export const PEERS: readonly Peer[] = [
  { name: BASELINE, title: 'raw BullMQ', store: 'redis', package: 'bullmq' },
  { name: 'graphile', title: 'graphile-worker', store: 'postgres', package: 'graphile-worker' },
  { name: 'restate', title: 'Restate', store: 'restate', package: '@restatedev/restate-sdk' },
  { name: 'dbos', title: 'DBOS', store: 'postgres', package: '@dbos-inc/dbos-sdk' },
  { name: 'pgboss', title: 'pg-boss', store: 'postgres', package: 'pg-boss' },
  { name: 'genqueue', title: 'genqueue', store: 'redis' },
]

export function peerVersion(peer: Peer, own: string): string {
  return peer.package === undefined ? own : versionOf(peer.package)
}

export interface RunningPeer {
  /** Base of the routes: `POST <path>` and `GET <path>/<id>`. */
  url: string
  path: string
  headers: Record<string, string>
  /** The body of a job with this text. */
  body(text: string): string
  store: Store
  /** Processor time of its program and its store so far, ms. */
  cpu(): number
  /** SIGKILL to the program. It is started again, as a supervisor does. */
  killProgram(): Promise<void>
  /** Ends the program and the store. */
  stop(): Promise<void>
}

const ROOT = join(import.meta.dirname, '../..')

/**
 * Starts a peer on a new store. `upstream` is the URL that it takes for Replicate's. With `supervised`, a program that has
 * exited is started again after a second; without, the next request to it fails.
 */
export async function startPeer(
  run: Run,
  peer: Peer,
  options: { folder: string; simulator: Simulator; upstream: string; supervised: boolean },
): Promise<RunningPeer> {
  const { simulator, upstream } = options
  const folder = join(options.folder, 'program')
  await mkdir(folder, { recursive: true })
  const store = await startStore(run, peer.store, join(options.folder, 'store'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const key = `gq_dev_peers_${randomBytes(16).toString('hex')}`
  const isOwn = peer.package === undefined
  const { PATH = '' } = process.env
  const env = {
    PATH,
    HOME: folder,
    NODE_ENV: 'production',
    PORT: String(port),
    ...store.env,
    ...(isOwn ? ownSettings(folder, url, key, upstream) : { SIM_URL: upstream, SIM_VERSION: simulator.model }),
    RESTATE_LOGGING: 'WARN',
  }
  const entry = isOwn ? 'src/main.ts' : `bench/peers/programs/peer-${peer.name}.mjs`
  const log = join(folder, 'program.log')
  const launch = (): ReturnType<Run['spawn']> =>
    run.spawn(process.execPath, [join(ROOT, entry)], { cwd: folder, env, log })
  // The programs of the peers listen when everything else of them is ready: an unknown job is a response too.
  const isReady = async (): Promise<boolean> => (await fetch(isOwn ? `${url}/readyz` : url)).ok || !isOwn

  let program = launch()
  let stopped = false
  await untilReady(peer.title, program.ended, isReady)
  const supervise = async (): Promise<void> => {
    for (;;) {
      await program.ended
      await delay(1_000)
      if (stopped) return
      program = launch()
    }
  }
  const supervisor = options.supervised ? supervise() : undefined

  return {
    url,
    path: isOwn ? '/v1/jobs' : '/jobs',
    headers: { 'content-type': 'application/json', ...(isOwn && { authorization: `Bearer ${key}` }) },
    body: (text) => JSON.stringify(isOwn ? { version: simulator.model, input: { text } } : { prompt: text }),
    store,
    cpu: () => cpuOf([program.pid, store.pid]),
    killProgram: () => killTrees([program.pid]),
    async stop() {
      stopped = true
      await killTrees([program.pid])
      await supervisor
      await run.end([program.pid, store.pid])
    },
  }
}

/** Limits that no measurement reaches; the rest is the default. */
function ownSettings(dataDir: string, url: string, key: string, upstream: string): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PUBLIC_URL: url,
    DATA_DIR: dataDir,
    DEV_API_KEY: key,
    LOG_LEVEL: 'warn',
    REPLICATE_API_TOKEN: 'any',
    REPLICATE_BASE_URL: `${upstream}/v1`,
    REPLICATE_CREATES_PER_MINUTE: '600000',
    REPLICATE_READS_PER_MINUTE: '600000',
    TENANT_REQUESTS_PER_MINUTE: '600000',
    TENANT_QUEUED_JOBS: '1000000',
  }
}

export const acceptedSchema = z.object({ id: z.string() })

const resultSchema = z.object({ output: z.unknown() })

/** Whether a response to `GET <path>/<id>` has the result. */
export function hasResult(status: number, body: string): boolean {
  return status === 200 && Boolean(resultSchema.parse(JSON.parse(body)).output)
}
