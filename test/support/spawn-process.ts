import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { inject } from 'vitest'

import { afterFile } from './after-file.ts'
import { NODE_COMPILE_CACHE } from './compile-cache.ts'
import { PATIENCE_MS } from './wait-for.ts'

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface SpawnedProcess {
  readonly pid: number
  /** All that it wrote so far. */
  readonly stdout: string
  readonly stderr: string
  /** Settles when it has ended and its output is complete. */
  readonly exited: Promise<Exit>
  /** The first line of its output, past or future, that matches; fails with that output when it ends without one. */
  waitForLine(pattern: RegExp, options?: { timeout?: number }): Promise<RegExpExecArray>
  /** Sends a signal (SIGTERM) and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<Exit>
  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void
  /** Takes none of its output any more: its pipes fill up. */
  stopReading(): void
}

export interface SpawnOptions {
  /** For Node itself. */
  nodeFlags?: readonly string[]
  /** Beside these it sees PATH and HOME, nothing else. */
  env?: Record<string, string>
  cwd?: string
}

/** Runs a file, or the bundle of it, with this very Node, as its own process; it ends with the test file at the latest. */
export function spawnNode(entry: string, args: string[] = [], options: SpawnOptions = {}): SpawnedProcess {
  const env = { NODE_COMPILE_CACHE, ...options.env }
  const file = inject('programs')?.[resolve(options.cwd ?? '', entry)] ?? entry
  return spawnProcess(process.execPath, [...(options.nodeFlags ?? []), file, ...args], { ...options, env })
}

/** The same for any program. */
export function spawnProcess(file: string, args: string[] = [], options: SpawnOptions = {}): SpawnedProcess {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(file, args, {
    env: { PATH, HOME, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  })
  const pid = child.pid
  if (pid === undefined) throw new Error(`${file} could not be started`)

  const written = { stdout: '', stderr: '' }
  const listeners = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
      for (const listener of listeners) listener()
    })
  }

  let exit: Exit | undefined
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      exit = { code, signal }
      resolve(exit)
      for (const listener of listeners) listener()
    })
  })

  const spawned: SpawnedProcess = {
    pid,
    exited,
    get stdout() {
      return written.stdout
    },
    get stderr() {
      return written.stderr
    },
    signal(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    },
    stopReading() {
      for (const stream of [child.stdout, child.stderr]) {
        stream.pause()
        // The remains of a process that has ended block no caller.
        child.once('exit', () => stream.resume())
      }
    },
    kill(signal = 'SIGTERM') {
      this.signal(signal)
      return exited
    },
    waitForLine(pattern, { timeout = PATIENCE_MS } = {}) {
      return new Promise((resolve, reject) => {
        const fail = (why: string) => {
          settle()
          reject(new Error(`${why} a line like ${String(pattern)}:\n${written.stdout}${written.stderr}`))
        }
        const look = () => {
          const match = firstMatch(written, pattern)
          if (match) {
            settle()
            resolve(match)
          } else if (exit) {
            fail(`${file} ${args.join(' ')} ended (${exit.signal ?? exit.code}) without`)
          }
        }
        const timer = setTimeout(() => fail(`Waited ${timeout} ms for`), timeout)
        const settle = () => {
          clearTimeout(timer)
          listeners.delete(look)
        }
        listeners.add(look)
        look()
      })
    },
  }
  afterFile(() => spawned.kill('SIGKILL'))
  return spawned
}

function firstMatch(written: { stdout: string; stderr: string }, pattern: RegExp): RegExpExecArray | undefined {
  const lines = `${written.stdout}\n${written.stderr}`.split('\n')
  // A sticky or global pattern would remember where it was.
  const fresh = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''))
  for (const line of lines) {
    const match = fresh.exec(line)
    if (match) return match
  }
  return undefined
}
