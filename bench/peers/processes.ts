import { spawn } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Processes of a measurement, from Linux's /proc, and the temporary folder that holds everything they write. */

const PREFIX = 'genqueue-peers-'
/** Processes of the run, one a line: pid and start time. The first line is the run itself. */
const PIDS = 'pids'
const QUIT_MS = 5_000

interface Stat {
  parent: number
  /** Processor time of the process and of its children that have exited, ms. Linux counts hundredths of a second. */
  cpu: number
  /** Clock ticks since the machine started; identifies a process whose pid is reused. */
  started: string
}

function statOf(pid: number): Stat | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    // A process that has exited and was not collected yet.
    if (fields[0] === 'Z') return undefined
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { parent: Number(fields[1]), cpu: ticks * 10, started: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

/** Live processes below these ones, with them. */
function trees(roots: readonly number[]): Map<number, Stat> {
  const all = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined
    if (stat) all.set(Number(name), stat)
  }
  const found = new Map<number, Stat>()
  const add = (pid: number): void => {
    const stat = all.get(pid)
    if (stat === undefined || found.has(pid)) return
    found.set(pid, stat)
    for (const [child, { parent }] of all) if (parent === pid) add(child)
  }
  roots.forEach(add)
  return found
}

/** Processor time of these processes and of everything below them, ms. */
export function cpuOf(pids: readonly number[]): number {
  return [...trees(pids).values()].reduce((sum, { cpu }) => sum + cpu, 0)
}

/** Kills these processes and everything below them with SIGKILL, and waits until all have exited. */
export async function killTrees(pids: readonly number[]): Promise<void> {
  const doomed = [...trees(pids)]
  for (const [pid] of doomed) signalOne(pid, 'SIGKILL')
  while (doomed.some(([pid, { started }]) => statOf(pid)?.started === started)) await delay(10)
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has exited.
  }
}

/** Waits until these processes have exited, or until the time is over. */
async function untilGone(pids: readonly number[], timeoutMs: number): Promise<void> {
  for (const begun = performance.now(); performance.now() - begun < timeoutMs; await delay(10))
    if (pids.every((pid) => statOf(pid) === undefined)) return
}

export interface Child {
  pid: number
  log: string
  /** Resolves when it has exited, with the end of its log. */
  ended: Promise<string>
}

export interface SpawnOptions {
  cwd: string
  env: Record<string, string>
  log: string
  /** The user that runs it, by default this one. */
  user?: { uid: number; gid: number }
  /** The signal at which it gives shared memory back, which SIGKILL does not do; it has some seconds to exit. */
  quit?: NodeJS.Signals
}

export interface Run {
  /** Temporary folder; other users may pass through it, and list nothing. */
  folder: string
  spawn(file: string, args: string[], options: SpawnOptions): Child
  /** Adds a process that something else has started, so that it ends with the run. */
  adopt(pid: number): void
  /** Ends these processes and everything below them. */
  end(pids: readonly number[]): Promise<void>
  /** Kills every process and removes the folder. */
  stop(): Promise<void>
}

/** Starts a run, and removes what killed runs have left behind. */
export async function startRun(): Promise<Run> {
  await sweepLeftovers()
  const folder = realpathSync(await mkdtemp(join(tmpdir(), PREFIX)))
  await chmod(folder, 0o711)
  const pids: number[] = []
  const quits = new Map<number, NodeJS.Signals>()
  let stopped = false
  const end = async (ending: readonly number[]): Promise<void> => {
    const before = trees(ending)
    for (const pid of ending) {
      const signal = quits.get(pid)
      if (signal !== undefined && before.has(pid)) signalOne(pid, signal)
    }
    const patient = ending.filter((pid) => quits.has(pid))
    await untilGone(patient, QUIT_MS)
    await killTrees(ending)
  }
  const adopt = (pid: number): void => {
    if (stopped) return signalOne(pid, 'SIGKILL')
    if (pid !== process.pid) pids.push(pid)
    appendFileSync(join(folder, PIDS), `${pid} ${statOf(pid)?.started}\n`)
  }
  adopt(process.pid)
  return {
    folder,
    adopt,
    end,
    spawn(file, args, { cwd, env, log, user, quit }) {
      if (stopped) throw new Error('The run is over.')
      const output = openSync(log, 'a')
      // A group of its own, so that Ctrl-C reaches only the run, which then kills everything.
      const child = spawn(file, args, { cwd, env, detached: true, stdio: ['ignore', output, output], ...user })
      closeSync(output)
      const ended = new Promise<string>((resolve) => {
        child.once('error', ({ message }) => resolve(message))
        child.once('exit', () => resolve(lastLines(log)))
      })
      if (child.pid === undefined) throw new Error(`${file} could not be started`)
      adopt(child.pid)
      if (quit !== undefined) quits.set(child.pid, quit)
      return { pid: child.pid, log, ended }
    },
    async stop() {
      stopped = true
      await end(pids)
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function sweepLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name)
    if (statSync(folder, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue
    const alive = readPids(folder).map(([pid, started]) => statOf(pid)?.started === started && pid)
    if (alive.length === 0 || alive[0] !== false) continue
    const left = alive.filter((pid) => pid !== false)
    // Postgres gives its shared memory back, and the others exit.
    for (const pid of left) signalOne(pid, 'SIGINT')
    await untilGone(left, QUIT_MS)
    await killTrees(left)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Empty for a run that is just beginning. */
function readPids(folder: string): [number, string][] {
  try {
    const lines = readFileSync(join(folder, PIDS), 'utf8').trim().split('\n')
    return lines.map((line) => {
      const [pid, started = ''] = line.split(' ')
      return [Number(pid), started]
    })
  } catch {
    return []
  }
}

/** Empty when the log has been removed meanwhile. */
function lastLines(log: string): string {
  if (!existsSync(log)) return ''
  return readFileSync(log, 'utf8').trim().split('\n').slice(-20).join('\n')
}

/** Polls until `probe` returns true; a probe that throws runs again. Fails when the process exits, or after a minute. */
export async function untilReady(what: string, ended: Promise<string>, probe: () => Promise<boolean>): Promise<void> {
  let over: string | undefined
  void ended.then((words) => (over = words))
  for (const begun = performance.now(); ; await delay(50)) {
    if (await probe().catch(() => false)) return
    if (over !== undefined) throw new Error(`${what} exited during startup:\n${over}`)
    if (performance.now() - begun > 60_000) throw new Error(`${what} was not ready within a minute`)
  }
}
