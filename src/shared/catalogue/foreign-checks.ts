import type { FieldError } from '../errors/service-error.ts'
import type { JsonObject } from '../values/json.ts'
import type { Logger } from '../process/logger.ts'
import { createSampler } from '../values/sampled.ts'
import { schemaHash } from './rules/dialect.ts'
import type { InputChecks } from './ports.ts'
import { isCheap, schemaCost } from './rules/schema-cost.ts'
import type { SchemaProblem } from './rules/schema-problem.ts'
import type { SchemaWorker } from './schema-worker.ts'

/** Returns all errors of an input; empty when it is valid or cannot be checked in time. */
export type ForeignCheck = (input: JsonObject) => Promise<FieldError[]>

/** Checks by one schema that may exceed the limits before the schema is disabled. */
const MAX_KILLED = 3
const MAX_KEPT = 500

export interface ForeignChecksOptions {
  checks: InputChecks
  worker: SchemaWorker
  log: Logger
}

/**
 * Checks by untrusted schemas. A schema whose text bounds the work for the worst input runs on the main thread; every other
 * one runs in a worker thread with limits. An input that cannot be checked there is accepted: upstream validates it.
 */
export function createForeignChecks({ checks, worker, log }: ForeignChecksOptions) {
  const kept = new Map<string, Promise<ForeignCheck | SchemaProblem>>()
  const sample = createSampler()

  async function prepare(schema: JsonObject, hash: string): Promise<ForeignCheck | SchemaProblem> {
    const cost = schemaCost(schema)
    if (isCheap(cost)) {
      try {
        const check = checks(schema)
        return (input) => Promise.resolve(check(input))
      } catch {
        return 'not_compiled'
      }
    }
    const allErrors = isCheap({ ...cost, hasPatterns: false })
    const outcome = await worker.run({ hash, schema, input: null, allErrors })
    if (outcome.kind === 'not_compiled') return 'not_compiled'
    if (outcome.kind === 'killed') return 'too_heavy'
    let killed = 0
    return async (input) => {
      if (killed >= MAX_KILLED) return []
      const reply = await worker.run({ hash, schema, input, allErrors })
      if (reply.kind === 'done') return reply.errors
      if (reply.kind === 'killed' && ++killed >= MAX_KILLED) kept.set(hash, Promise.resolve('too_heavy'))
      const heldBack = sample(reply.kind)
      if (heldBack !== null)
        log.warn({ schema: hash, reason: reply.kind, not_logged: heldBack }, 'an input was accepted unchecked')
      return []
    }
  }

  return {
    /** Check for a schema in the form that plainSchema returns, or the reason why it cannot be used. */
    async of(schema: JsonObject): Promise<ForeignCheck | SchemaProblem> {
      const hash = schemaHash(schema)
      const known = kept.get(hash)
      if (known) return known
      const [oldest = ''] = kept.size >= MAX_KEPT ? kept.keys() : []
      kept.delete(oldest)
      const made = prepare(schema, hash)
      kept.set(hash, made)
      return made
    },
    stop: worker.stop,
  }
}

export type ForeignChecks = ReturnType<typeof createForeignChecks>
