import { ServiceError } from '../errors.ts'
import { AccountRefusedError, type PredictionPort, type UpstreamModel } from './prediction-port.ts'

/** Models that every installation lists; any other is found by its name. */
export const KNOWN_MODELS = [
  'black-forest-labs/flux-schnell',
  'black-forest-labs/flux-dev-lora',
  'google/gemini-3-pro',
  'flux-kontext-apps/restore-image',
  'wan-video/wan-2.2-s2v',
  'replicate/hello-world',
]

const FRESH_MS = 10 * 60_000
/** Cache time of an absent model, ms: it can appear at any moment. */
const ABSENT_MS = 15_000
/** Time after a failed read in which callers do not wait for the same model, ms. */
const PATIENCE_MS = 30_000
/** Seconds until a read that failed can be repeated. A refused account needs an operator, so clients need not wait for it. */
const RETRY_AFTER_S = 5
const RETRY_AFTER_REFUSED_S = 120
const MAX_CACHED = 500
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** Error of a read of `what`, such as "the model acme/anvil". */
function unreadable(what: string, cause: unknown): ServiceError {
  if (!(cause instanceof AccountRefusedError))
    return new ServiceError('upstream_unavailable', `Could not read ${what} from Replicate. Try again later.`, {
      retryAfter: RETRY_AFTER_S,
      cause,
    })
  const refusal =
    cause.status === 401
      ? 'Replicate refuses the API token. The operator has to check REPLICATE_API_TOKEN.'
      : `Replicate refuses the account (status ${cause.status}). The operator has to check the token and the credit.`
  return new ServiceError('upstream_unavailable', `Could not read ${what}: ${refusal}`, {
    retryAfter: RETRY_AFTER_REFUSED_S,
    cause,
  })
}

interface Entry {
  /** undefined: not read yet; null: there is no such model. */
  model: UpstreamModel | null | undefined
  /** Time of the last successful read, ms. */
  at: number
  /** Time of the last failed read, ms. */
  failedAt: number
  pending: Promise<UpstreamModel | null> | null
}

/** Models and their schemas, read from upstream and cached for ten minutes; an older entry serves while upstream is unreachable. */
export function createModelCatalogue(upstream: Pick<PredictionPort, 'model'>, known: readonly string[] = KNOWN_MODELS) {
  const cache = new Map<string, Entry>()

  function entryOf(key: string): Entry {
    const cached = cache.get(key)
    if (cached) return cached
    const oldest = cache.size >= MAX_CACHED ? cache.keys().next() : null
    if (oldest && !oldest.done) cache.delete(oldest.value)
    const entry: Entry = { model: undefined, at: -Infinity, failedAt: -Infinity, pending: null }
    cache.set(key, entry)
    return entry
  }

  /** Reads a model from upstream; concurrent calls share one request (single-flight). */
  async function refresh(entry: Entry, name: string, version: string | null): Promise<UpstreamModel | null> {
    entry.pending ??= upstream
      .model(name, version)
      .then((model) => {
        entry.model = model
        entry.at = Date.now()
        return model
      })
      .catch((error: unknown) => {
        entry.failedAt = Date.now()
        throw error
      })
      .finally(() => {
        entry.pending = null
      })
    return entry.pending
  }

  const isFresh = ({ model, at }: Entry): boolean =>
    model !== undefined && Date.now() - at < (model === null ? ABSENT_MS : FRESH_MS)

  /** Throws the error of the read when the model is not cached. */
  async function read(name: string): Promise<UpstreamModel | null> {
    if (!NAME.test(name)) return null
    const entry = entryOf(name)
    if (isFresh(entry)) return entry.model ?? null
    try {
      return await refresh(entry, name, null)
    } catch (error) {
      if (entry.model !== undefined) return entry.model
      throw error
    }
  }

  return {
    async find(name: string): Promise<UpstreamModel | null> {
      return read(name).catch((error: unknown) => {
        throw unreadable(`the model ${name}`, error)
      })
    },

    /**
     * Model, or one version of it, when it is cached or arrives within `withinMs`; else undefined. A stale entry is
     * returned while it is refreshed.
     */
    async quickly(name: string, version: string | null, withinMs: number): Promise<UpstreamModel | null | undefined> {
      if (!NAME.test(name)) return null
      const entry = entryOf(version === null ? name : `${name}:${version}`)
      if (isFresh(entry)) return entry.model
      const impatient = Date.now() - entry.failedAt < PATIENCE_MS
      if (impatient) return entry.model
      const coming = refresh(entry, name, version).catch(() => entry.model)
      if (entry.model) return entry.model
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => {
          entry.failedAt = Date.now()
          resolve(undefined)
        }, withinMs)
      })
      const model = await Promise.race([coming, late])
      clearTimeout(timer)
      return model
    },

    /** The known models that upstream has. */
    async known(): Promise<UpstreamModel[]> {
      const found = await Promise.all(known.map(read)).catch((error: unknown) => {
        throw unreadable('the list of models', error)
      })
      return found.filter((model) => model !== null)
    },
  }
}

export type ModelCatalogue = ReturnType<typeof createModelCatalogue>
