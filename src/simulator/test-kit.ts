import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type Books, resetAll, showBooks } from './routes/admin.ts'
import type { SeenRequest } from './request-log.ts'
import type { Services } from './routes/services.ts'
import { type OutputOf, stubSchema } from './stubs.ts'

/** What a test does with a simulator in its own process. `/_sim` does the same for other processes and languages. */

/** What the next create becomes. Everything that is absent is the model's own. */
export interface Stub {
  /**
   * `owner/name`, or `owner/name:version`; absent: any model. A model that the simulator does not know accepts any input.
   */
  model?: string
  /** The final output: any JSON, with `file(…)` for a file. A function gets the input; what it throws is the run's error. */
  output?: unknown
  /** The output of a language model, written piece by piece. */
  chunks?: string[]
  /** The run fails with this text. */
  error?: string
  /** Text, or lines; spread over the run. */
  logs?: string | string[]
  /** How long it runs, at speed 1. */
  seconds?: number
  /** How long it is `starting`, at speed 1. */
  startSeconds?: number
  /** Added to the metrics of the model. */
  metrics?: Record<string, number | string | boolean>
  /** For how many creates: 1 by default. `Infinity` or `always`: until it is removed. */
  times?: number | 'always'
}

export interface StubHandle {
  /** Number of creates that had it. */
  readonly used: number
  remove(): void
}

/** The part of a simulator that belongs to one token, so that parallel tests share a simulator. */
export interface SimulatorScope {
  /** The token with which the code under test must call. */
  token: string
  /** As `Simulator.stub`, for creates with this token. */
  stub(stub: Stub): StubHandle
  /** Requests with this token, oldest first. */
  requests(): SeenRequest[]
  /** Removes its stubs and requests. */
  reset(): void
}

export interface TestKit {
  /** What the next creates become, whatever their token. A stub of a scope wins over it. */
  stub(stub: Stub): StubHandle
  /** Requests to the API and to its files, oldest first; the last 1,000. */
  requests(): SeenRequest[]
  /** Merges into the active faults and returns all of them; null removes all. Throws on unknown faults. */
  faults(changes?: object | null): Record<string, Record<string, unknown>>
  books(): Books
  /** Removes predictions, uploads, counts, faults, stubs and requests. */
  reset(): void
  /** @param token default: one that is made up */
  scope(token?: string): SimulatorScope
}

export function createTestKit(services: Services): TestKit {
  const { faults, requests, stubs } = services

  function add(stub: Stub, token?: string): StubHandle {
    const { output, startSeconds, times, ...rest } = stub
    const parsed = stubSchema.safeParse({
      ...rest,
      ...(token === undefined ? {} : { token }),
      ...(output === undefined || isFunction(output) ? {} : { output }),
      ...(startSeconds === undefined ? {} : { start_seconds: startSeconds }),
      times: times === Infinity ? 'always' : times,
    })
    if (!parsed.success) throw new Error(`the stub is not valid:\n${z.prettifyError(parsed.error)}`)
    const kept = stubs.add(parsed.data, isFunction(output) ? output : undefined)
    return {
      get used() {
        return kept.used
      },
      remove: () => void stubs.remove(kept.id),
    }
  }

  return {
    stub: (stub) => add(stub),
    requests: () => requests.all(),
    faults(changes = {}) {
      if (changes === null) faults.clear()
      const wrong = changes === null ? [] : faults.merge(changes)
      if (wrong.length === 0) return faults.all()
      throw new Error(wrong.map(({ field, description }) => `${field}: ${description}`).join('\n'))
    },
    books: () => showBooks(services),
    reset: () => resetAll(services),
    scope: (token = `r8_test_${randomBytes(12).toString('hex')}`) => ({
      token,
      stub: (stub) => add(stub, token),
      requests: () => requests.all(token),
      reset() {
        stubs.clear(token)
        requests.clear(token)
      },
    }),
  }
}

const isFunction = (value: unknown): value is OutputOf => typeof value === 'function'
