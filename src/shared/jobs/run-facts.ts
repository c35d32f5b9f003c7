import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import type { Prediction } from '../replicate/prediction.ts'
import type { JobRecord, Json, JsonObject } from './job.ts'

/** What made a run what it was, as far as upstream tells: with this it can be made again. */

const asSeed = (value: Json | undefined): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null

const LOGGED = /\bseed(?: is|:|=)?\s{0,3}(\d{1,15})\b/i
/** A seed is told at the begin of a run. Characters. */
const LOOKED_AT = 16_384

/** The seed that was asked for; else the one that the model told to have drawn. */
export function seedOf(input: JsonObject | null, { metrics, logs, output }: Prediction): number | null {
  const isObject = typeof output === 'object' && output !== null && !Array.isArray(output)
  const told = LOGGED.exec((logs ?? '').slice(0, LOOKED_AT))?.[1]
  return (
    asSeed(input?.seed) ??
    asSeed(metrics?.seed) ??
    (isObject ? asSeed(output.seed) : null) ??
    asSeed(told === undefined ? undefined : Number(told))
  )
}

export const runFacts = (job: JobRecord, prediction: Prediction): Pick<JobRecord, 'resolved_version' | 'seed'> => ({
  resolved_version: prediction.version ?? null,
  seed: seedOf(job.input, prediction),
})

const VERSION = /^[0-9a-f]{64}$/

/**
 * The same run once more: its version, where upstream told one that can be asked for (of official models it does not),
 * and its seed. Null when neither is known, or the input is gone.
 */
export function pinned(
  job: JobRecord,
): { target: Pick<JobRecord, 'model' | 'version' | 'deployment'>; input: JsonObject } | null {
  const { model, version, deployment, resolved_version, seed, input } = job
  const known = resolved_version !== null && VERSION.test(resolved_version) ? resolved_version : null
  if (input === null || (known === null && version === null && seed === null)) return null
  // What was asked for by its version is pinned already, and says the name of its model.
  const target =
    known === null || version !== null
      ? { model, version, deployment }
      : { model: null, version: model === null ? known : `${model}:${known}`, deployment: null }
  return { target, input: seed === null ? input : { ...input, seed } }
}

/** SHA-256 of the canonical JSON of the input; null when it is gone and nothing was remembered. */
export const inputHash = ({ input, input_sha256 }: Pick<JobRecord, 'input' | 'input_sha256'>): string | null =>
  input === null ? input_sha256 : createHash('sha256').update(canonicalJson(input)).digest('hex')
