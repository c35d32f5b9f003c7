import { useCallback } from 'react'
import type { Client } from '../client/client.ts'
import type { Model, Preset } from '../client/types.ts'
import { useStudio } from './studio-context.ts'
import { useLoaded, type Loaded } from './use-loaded.ts'

/** What can be made here. */
export interface Catalogue {
  presets: readonly Preset[]
  models: readonly Model[]
}

/** Presets change when somebody writes one; asking at each look at the page would only make it slower. */
const KEPT_MS = 60_000

/** Answers are shared by everything on the page that needs them. */
export function createCatalogueReader(client: Client): () => Promise<Catalogue> {
  let last: { at: number; answer: Promise<Catalogue> } | null = null
  return () => {
    if (last && Date.now() - last.at < KEPT_MS) return last.answer
    const asked = Promise.all([client.presets(), client.models()]).then(([presets, models]) => ({ presets, models }))
    last = { at: Date.now(), answer: asked }
    asked.catch(() => (last = null))
    return asked
  }
}

export function useCatalogue(): Loaded<Catalogue> {
  const { catalogue } = useStudio()
  return useLoaded(useCallback(() => catalogue(), [catalogue]))
}
