import { ServiceError } from '../errors/service-error.ts'
import { AccountRefusedError, type PredictionPort, type UpstreamModel } from './prediction-port.ts'
import { createUpstreamCache } from './upstream-cache.ts'

/** Models that every installation lists; any other is found by its name. */
export const KNOWN_MODELS = [
  'black-forest-labs/flux-schnell',
  'black-forest-labs/flux-dev-lora',
  'google/gemini-3-pro',
  'flux-kontext-apps/restore-image',
  'wan-video/wan-2.2-s2v',
  'replicate/hello-world',
]

/** Seconds until a read that failed can be repeated. A refused account needs an operator, so clients need not wait for it. */
const RETRY_AFTER_S = 5
const RETRY_AFTER_REFUSED_S = 120
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

/** Models and their schemas, and the names of deployments, read from upstream and cached. */
export function createModelCatalogue(
  upstream: Pick<PredictionPort, 'model' | 'deployment'>,
  known: readonly string[] = KNOWN_MODELS,
) {
  const models = createUpstreamCache<UpstreamModel>()
  const deployments = createUpstreamCache<true>()

  /** Throws the error of the read when the model is not cached. */
  const read = async (name: string): Promise<UpstreamModel | null> =>
    NAME.test(name) ? models.read(name, () => upstream.model(name, null)) : null

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
      return models.quickly(
        version === null ? name : `${name}:${version}`,
        () => upstream.model(name, version),
        withinMs,
      )
    },

    /** Whether the account can run a deployment of this name; undefined when that is not known within `withinMs`. */
    async hasDeployment(name: string, withinMs: number): Promise<boolean | undefined> {
      if (!NAME.test(name)) return false
      const fetch = async (): Promise<true | null> => ((await upstream.deployment(name)) ? true : null)
      const found = await deployments.quickly(name, fetch, withinMs)
      return found === undefined ? undefined : found !== null
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
