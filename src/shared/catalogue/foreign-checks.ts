import type { FieldError } from '../errors.ts'
import type { JsonObject } from '../jobs/job.ts'
import type { Logger } from '../logger.ts'
import { createSampler } from '../sampled.ts'
import { schemaHash } from './dialect.ts'
import type { InputChecks } from './input-check.ts'
import { isCheap, schemaCost } from './schema-cost.ts'
import type { SchemaWorker } from './schema-worker.ts'

/** Why a model's schema is not used. */
export type SchemaProblem =
  /** It has too many parts, or is nested too deeply. */
  | 'too_large'
  /** It cannot be compiled. */
  | 'not_compiled'
  /** Compiling it or checking by it uses up time or memory. */
  | 'too_heavy'

/** Everything that is wrong with an input; empty when it is right, or cannot be checked in time. */
export type ForeignCheck = (input: JsonObject) => Promise<FieldError[]>

/** Checks by one schema that may use up time or memory before it is not used any more. */
const MAX_KILLED = 3
const MAX_KEPT = 500

export interface ForeignChecksOptions {
  checks: InputChecks
  worker: SchemaWorker
  log: Logger
}

/**
 * Checks by schemas of strangers. A schema whose text alone bounds the work of the worst input runs where
 * requests are answered; every other one runs in a thread with limits. What cannot be checked there is not refused: upstream
 * judges the input in the end.
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
        log.warn({ schema: hash, reason: reply.kind, not_logged: heldBack }, 'an input was accepted without a check')
      return []
    }
  }

  return {
    /** The check by a schema as plainSchema made it, or why there is none. */
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
