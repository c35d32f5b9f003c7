import { ServiceError } from '../errors.ts'
import type { PredictionPort, UpstreamModel } from './prediction-port.ts'

/** Models that every installation offers; any other is found by its name. */
export const KNOWN_MODELS = [
  'black-forest-labs/flux-schnell',
  'black-forest-labs/flux-dev-lora',
  'google/gemini-3-pro',
  'replicate/hello-world',
]

const FRESH_MS = 10 * 60_000
const MAX_CACHED = 500
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** Models and their schemas, read from upstream and kept for ten minutes; an older answer serves when it is away. */
export function createModelCatalogue(upstream: Pick<PredictionPort, 'model'>, known: readonly string[] = KNOWN_MODELS) {
  const cache = new Map<string, { at: number; model: Promise<UpstreamModel | null> }>()

  async function find(name: string): Promise<UpstreamModel | null> {
    if (!NAME.test(name)) return null
    const cached = cache.get(name)
    if (cached && Date.now() - cached.at < FRESH_MS) return cached.model
    const model = upstream.model(name).catch((error: unknown) => {
      cache.delete(name)
      if (cached) return cached.model
      throw new ServiceError('upstream_unavailable', 'Replicate does not tell its models right now.', {
        retryAfter: 5,
        cause: error,
      })
    })
    const oldest = cache.size >= MAX_CACHED ? cache.keys().next() : null
    if (oldest && !oldest.done) cache.delete(oldest.value)
    cache.set(name, { at: Date.now(), model })
    return model
  }

  return {
    find,
    /** Those of the known models that upstream has. */
    async known(): Promise<UpstreamModel[]> {
      const found = await Promise.all(known.map(find))
      return found.filter((model) => model !== null)
    },
  }
}

export type ModelCatalogue = ReturnType<typeof createModelCatalogue>
