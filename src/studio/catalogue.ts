import type { Client } from '../client/client.ts'
import type { Model, Preset } from '../client/types.ts'

/** Presets and models that can run. */
export interface Catalogue {
  presets: readonly Preset[]
  models: readonly Model[]
}

/** Presets change rarely, so a short cache keeps the page fast. */
const KEPT_MS = 60_000

/** Responses are shared by all users on the page. */
export function createCatalogueReader(client: Client): () => Promise<Catalogue> {
  let last: { at: number; value: Promise<Catalogue> } | null = null
  return () => {
    if (last && Date.now() - last.at < KEPT_MS) return last.value
    const asked = Promise.all([client.presets(), client.models()]).then(([presets, models]) => ({ presets, models }))
    last = { at: Date.now(), value: asked }
    asked.catch(() => (last = null))
    return asked
  }
}
