import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker as Thread } from 'node:worker_threads'
import type { FieldError } from '../errors/service-error.ts'
import type { JsonObject } from '../values/json.ts'

export interface SchemaTask {
  /** Hash of the schema: the thread caches compiled schemas by it. */
  hash: string
  schema: JsonObject
  /** null: only compile. */
  input: JsonObject | null
  /** false: the check stops at the first error, so that a long input gives no long list. */
  allErrors: boolean
}

export type SchemaReply = { kind: 'done'; errors: FieldError[] } | { kind: 'not_compiled'; message: string }

export type SchemaOutcome =
  | SchemaReply
  /** The limit of time or memory was exceeded; the thread was terminated. */
  | { kind: 'killed' }
  /** The task waited too long for earlier ones and was not run. */
  | { kind: 'busy' }

const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 }
const START_MS = 30_000
const IDLE_MS = 60_000

export interface SchemaWorkerOptions {
  /** Limit of one check, ms. */
  checkMs?: number
  /** Limit of a check that compiles its schema first, ms. */
  compileMs?: number
  /** Longest wait of a task for the ones before it, ms. */
  waitMs?: number
}

/** The thread's program, a source or compiled as this file is. */
const ENTRY = new URL(`schema-worker-entry${extname(import.meta.url)}`, import.meta.url)

/**
 * Runs tasks with untrusted schemas one after the other, in one thread with limits of heap, stack and time. A task that
 * exceeds a limit terminates the thread; the next task starts a new one. An idle thread ends after a minute.
 */
export function createSchemaWorker({ checkMs = 1000, compileMs = 5000, waitMs = 1500 }: SchemaWorkerOptions = {}) {
  let worker: Promise<Thread> | undefined
  let compiled = new Set<string>()
  let tail: Promise<unknown> = Promise.resolve()
  let idle: NodeJS.Timeout | undefined
  let isStopped = false

  async function start(): Promise<Thread> {
    compiled = new Set()
    const made = new Thread(ENTRY, {
      resourceLimits: LIMITS,
      // Inherits neither the environment nor the heap flags of this process.
      env: {},
      execArgv: [],
    })
    made.unref()
    // An error without a listener would end the process; `exit` follows each error.
    made.on('error', () => undefined)
    made.once('exit', () => {
      worker = undefined
    })
    await Promise.race([once(made, 'message', { signal: AbortSignal.timeout(START_MS) }), ended(made)])
    return made
  }

  async function ended(made: Thread): Promise<never> {
    await new Promise((resolve) => made.once('exit', resolve))
    throw new Error('the schema thread exited')
  }

  async function end(): Promise<void> {
    const current = worker
    worker = undefined
    clearTimeout(idle)
    await (await current?.catch(() => undefined))?.terminate()
  }

  async function run(task: SchemaTask): Promise<SchemaOutcome> {
    clearTimeout(idle)
    const current = await (worker ??= start())
    const limit = compiled.has(task.hash) ? checkMs : compileMs
    const outcome = await new Promise<SchemaOutcome>((resolve) => {
      const done = (reply: SchemaOutcome): void => {
        clearTimeout(timer)
        current.off('message', done).off('exit', killed)
        resolve(reply)
      }
      const killed = (): void => done({ kind: 'killed' })
      const timer = setTimeout(killed, limit)
      current.once('message', done).once('exit', killed)
      current.postMessage(task, [])
    })
    if (outcome.kind === 'killed') await end()
    else compiled.add(task.hash)
    idle = setTimeout(() => void end(), IDLE_MS)
    idle.unref()
    return outcome
  }

  return {
    /** Runs a task. Never throws because of the schema or the input. */
    async run(task: SchemaTask): Promise<SchemaOutcome> {
      let begun = false
      let tooLate = false
      const turn = tail.then(async (): Promise<SchemaOutcome> => {
        begun = true
        if (tooLate || isStopped) return { kind: 'busy' }
        return run(task).catch((): SchemaOutcome => ({ kind: 'killed' }))
      })
      tail = turn
      const waited = new Promise<SchemaOutcome>((resolve) => {
        const timer = setTimeout(() => {
          tooLate = !begun
          if (tooLate) resolve({ kind: 'busy' })
        }, waitMs)
        void turn.then(() => clearTimeout(timer))
      })
      return Promise.race([turn, waited])
    },
    async stop(): Promise<void> {
      isStopped = true
      await end()
    },
  }
}

export type SchemaWorker = ReturnType<typeof createSchemaWorker>
