import { execFileSync } from 'node:child_process'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { chownSync } from 'node:fs'
import { join } from 'node:path'
import { findRedisBinary } from '../../src/shared/redis/find-redis-server.ts'
import { freePort, launchRedis, waitUntilReady } from '../../src/shared/redis/redis-process.ts'
import { POSTGRES, RESTATE, packageFolder, versionOf } from './install.ts'
import { type Child, type Run, killTrees, untilReady } from './processes.ts'

/** The engines that keep the jobs: Redis, Postgres, Restate's server. Each store is new and empty, on loopback only. */

export type StoreKind = 'redis' | 'postgres' | 'restate'

export interface Store {
  /** How programs find it. */
  env: Record<string, string>
  /** Of its present life. */
  readonly pid: number
  /** SIGKILL to all of its processes. */
  kill(): Promise<void>
  /** Starts it again on the same port and data. */
  start(): Promise<void>
}

interface Life {
  pid: number
}

export async function startStore(run: Run, kind: StoreKind, folder: string): Promise<Store> {
  await mkdir(folder, { recursive: true })
  const { env, launch } = await { redis, postgres, restate }[kind](run, folder)
  let life: Life = await launch()
  return {
    env,
    get pid() {
      return life.pid
    },
    kill: () => killTrees([life.pid]),
    async start() {
      life = await launch()
    },
  }
}

interface Engine {
  env: Record<string, string>
  /** Resolves when it accepts connections. */
  launch(): Promise<Life>
}

/** Appends each write to its file, and syncs it every second: the default of genqueue, and what BullMQ's documentation recommends. */
async function redis(run: Run, dir: string): Promise<Engine> {
  const server = await findRedisBinary({ onProgress: (message) => process.stderr.write(`bench:peers: ${message}\n`) })
  if (server === undefined) throw new Error('No redis-server was found. Install Redis 7.0 or newer.')
  const port = await freePort()
  return {
    env: { REDIS_URL: `redis://127.0.0.1:${port}` },
    async launch() {
      const life = await launchRedis({ server, dir, port })
      run.adopt(life.pid)
      await waitUntilReady(life, port)
      return life
    },
  }
}

const PORTABLE = { LC_ALL: 'C', PATH: '/usr/bin:/bin' }
/** Postgres refuses to run as root. */
const NOBODY = { uid: 65534, gid: 65534 }

async function postgres(run: Run, folder: string): Promise<Engine> {
  const user = process.getuid?.() === 0 ? NOBODY : undefined
  const bin = join(user ? await readableCopy(run) : join(packageFolder(POSTGRES), 'native'), 'bin')
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  if (user) chownSync(data, user.uid, user.gid)
  const options = { cwd: data, env: PORTABLE, ...(user && { user }) }
  const init = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
  const initialized = run.spawn(join(bin, 'initdb'), init, { ...options, log: join(folder, 'initdb.log') })
  const words = await initialized.ended
  if (!words.includes('Success')) throw new Error(`initdb failed:\n${words}`)

  const port = await freePort()
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'shared_buffers=256MB',
    // Files in the data folder, which are removed with it.
    'dynamic_shared_memory_type=mmap',
  ]
  const flags = ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])]
  let lives = 0
  return {
    env: { PG_URL: `postgres://postgres@127.0.0.1:${port}/postgres` },
    async launch() {
      const log = join(folder, `postgres-${lives++}.log`)
      const child = run.spawn(join(bin, 'postgres'), flags, { ...options, log, quit: 'SIGQUIT' })
      await untilReady('Postgres', child.ended, async () =>
        (await readFile(log, 'utf8')).includes('ready to accept connections'),
      )
      return child
    },
  }
}

let copied: Promise<string> | undefined

/** The project may be in a folder that only root can enter. */
function readableCopy(run: Run): Promise<string> {
  copied ??= (async () => {
    const folder = join(run.folder, 'postgres')
    await cp(join(packageFolder(POSTGRES), 'native'), folder, { recursive: true, verbatimSymlinks: true })
    return folder
  })()
  return copied
}

async function restate(run: Run, folder: string): Promise<Engine> {
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()]
  const env = {
    ...PORTABLE,
    HOME: folder,
    DO_NOT_TRACK: '1',
    RESTATE_DISABLE_TELEMETRY: 'true',
    RESTATE_DEFAULT_NUM_PARTITIONS: '4',
    RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE: '512MB',
    RESTATE_LISTEN_MODE: 'tcp',
    RESTATE_LOG_DISABLE_ANSI_CODES: 'true',
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_BIND_IP: '127.0.0.1',
    RESTATE_BIND_PORT: String(node),
  }
  const urls = { RESTATE_INGRESS: `http://127.0.0.1:${ingress}`, RESTATE_ADMIN: `http://127.0.0.1:${admin}` }
  const isUp = async (url: string): Promise<boolean> => (await fetch(url)).ok
  return {
    env: { ...urls, SDK_PORT: String(await freePort()) },
    async launch() {
      const file = join(packageFolder(RESTATE), 'bin', 'restate-server')
      const args = ['--no-logo', '--base-dir', join(folder, 'data')]
      const child: Child = run.spawn(file, args, { cwd: folder, env, log: join(folder, 'restate.log') })
      await untilReady(
        'Restate',
        child.ended,
        async () =>
          (await isUp(`${urls.RESTATE_ADMIN}/health`)) && (await isUp(`${urls.RESTATE_INGRESS}/restate/health`)),
      )
      return child
    },
  }
}

/** The version of a store for the report. */
export async function storeVersion(kind: StoreKind): Promise<string> {
  if (kind === 'restate') return `Restate server ${versionOf('@restatedev/restate-server')}`
  if (kind === 'postgres') return `Postgres ${versionOf(POSTGRES).replace(/-.*/, '')}`
  const server = await findRedisBinary({})
  if (server?.kind !== 'binary') return 'Redis'
  const env = server.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: server.libraryPath }
  const text = execFileSync(server.file, ['--version'], { encoding: 'utf8', env })
  return `${/^\w+/.exec(text)?.[0]} ${/\bv=([\d.]+)/.exec(text)?.[1]}`
}
