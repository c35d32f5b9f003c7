import { once } from 'node:events'
import { Worker as Thread } from 'node:worker_threads'
import type { FieldError } from '../errors.ts'
import type { JsonObject } from '../jobs/job.ts'

export interface SchemaTask {
  /** Of the schema: the thread keeps what it compiled. */
  hash: string
  schema: JsonObject
  /** null: only compile. */
  input: JsonObject | null
  /** false: the first error ends the check, so that a long input makes no long list. */
  allErrors: boolean
}

export type SchemaReply = { kind: 'done'; errors: FieldError[] } | { kind: 'not_compiled'; message: string }

export type SchemaOutcome =
  | SchemaReply
  /** Time or memory was used up; the thread was ended. */
  | { kind: 'killed' }
  /** Others were before it for too long; nothing was done. */
  | { kind: 'busy' }

const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 }
const START_MS = 30_000
const IDLE_MS = 60_000

export interface SchemaWorkerOptions {
  /** ms for one check. */
  checkMs?: number
  /** ms for a check that compiles its schema first. */
  compileMs?: number
  /** ms that a task waits for those before it. */
  waitMs?: number
}

/**
 * Runs foreign schemas in one thread with a limit of heap, stack and time, one after the other. What breaks a limit ends
 * the thread; the next task starts another one. A thread that nobody needs ends after a minute.
 */
export function createSchemaWorker({ checkMs = 1000, compileMs = 5000, waitMs = 1500 }: SchemaWorkerOptions = {}) {
  let worker: Promise<Thread> | undefined
  let compiled = new Set<string>()
  let tail: Promise<unknown> = Promise.resolve()
  let idle: NodeJS.Timeout | undefined
  let isStopped = false

  async function start(): Promise<Thread> {
    compiled = new Set()
    const made = new Thread(new URL('./schema-worker-entry.ts', import.meta.url), {
      resourceLimits: LIMITS,
      // Nothing of our environment or of the flags for our own heap.
      env: {},
      execArgv: [],
    })
    made.unref()
    // An error without a listener would end the process; `exit` follows it.
    made.on('error', () => undefined)
    made.once('exit', () => {
      worker = undefined
    })
    await Promise.race([once(made, 'message', { signal: AbortSignal.timeout(START_MS) }), ended(made)])
    return made
  }

  async function ended(made: Thread): Promise<never> {
    await new Promise((resolve) => made.once('exit', resolve))
    throw new Error('the thread for schemas ended')
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
    /** Never throws for what the schema or the input does. */
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
