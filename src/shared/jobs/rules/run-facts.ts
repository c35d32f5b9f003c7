import { createHash } from 'node:crypto'
import { namedModel } from '../../catalogue/rules/named-model.ts'
import { canonicalJson } from '../../values/canonical-json.ts'
import { isObject, type Json, type JsonObject } from '../../values/json.ts'
import type { Prediction } from '../../replicate/rules/prediction.ts'
import type { JobRecord } from './job.ts'

/** Version and seed of a run, as far as upstream reports them: with these the run can be reproduced. */

const asSeed = (value: Json | undefined): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null

const LOGGED = /\bseed(?: is|:|=)?\s{0,3}(\d{1,15})\b/i
/** Characters of the log that are searched: models log the seed at the start of a run. */
const SEARCHED = 16_384

/** The seed of the input; else the seed that the model reports. */
export function seedOf(input: JsonObject | null, { metrics, logs, output }: Prediction): number | null {
  const logged = LOGGED.exec((logs ?? '').slice(0, SEARCHED))?.[1]
  return (
    asSeed(input?.seed) ??
    asSeed(metrics?.seed) ??
    (isObject(output) ? asSeed(output.seed) : null) ??
    asSeed(logged === undefined ? undefined : Number(logged))
  )
}

const MODEL = /^[^/\s]{1,100}\/[^/\s]{1,100}$/

/** Only a bare version does not say which model it is of. */
const modelOf = (job: JobRecord, { model }: Prediction): string | null =>
  namedModel(job) === null && job.deployment === null && model && MODEL.test(model) ? model : null

export const runFacts = (
  job: JobRecord,
  prediction: Prediction,
): Pick<JobRecord, 'resolved_version' | 'seed'> & Partial<Pick<JobRecord, 'resolved_model'>> => {
  const model = modelOf(job, prediction)
  return {
    resolved_version: prediction.version ?? null,
    ...(model === null ? {} : { resolved_model: model }),
    seed: seedOf(job.input, prediction),
  }
}

const VERSION = /^[0-9a-f]{64}$/

/**
 * The request that reproduces a run: its version, where upstream reports a usable one (not for official models), and its
 * seed. Null when neither is known, or the input was removed.
 */
export function pinned(
  job: JobRecord,
): { target: Pick<JobRecord, 'model' | 'version' | 'deployment'>; input: JsonObject } | null {
  const { model, version, deployment, resolved_version, seed, input } = job
  const known = resolved_version !== null && VERSION.test(resolved_version) ? resolved_version : null
  if (input === null || (known === null && version === null && seed === null)) return null
  // A request by version is pinned already, and names its model.
  const target =
    known === null || version !== null
      ? { model, version, deployment }
      : { model: null, version: model === null ? known : `${model}:${known}`, deployment: null }
  return { target, input: seed === null ? input : { ...input, seed } }
}

export const hashOfInput = (input: JsonObject): string =>
  createHash('sha256').update(canonicalJson(input)).digest('hex')

/** SHA-256 of the canonical JSON of the input; null when the input was removed and its digest was not recorded. */
export const inputHash = ({ input, input_sha256 }: Pick<JobRecord, 'input' | 'input_sha256'>): string | null =>
  input_sha256 ?? (input && hashOfInput(input))
