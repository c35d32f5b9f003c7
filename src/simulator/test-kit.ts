import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { resetAll, showBooks } from './routes/admin.ts'
import type { Services } from './routes/services.ts'
import { type OutputOf, stubSchema } from './stubs.ts'
import type { Stub, StubHandle, TestKit } from './test-kit-types.ts'

/** What a test does with a simulator in its own process. `/_sim` does the same for other processes and languages. */

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
