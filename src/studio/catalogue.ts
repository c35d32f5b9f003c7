import type { Client } from '../client/client.ts'
import type { Model, Preset } from '../client/types.ts'
import { errorText } from './run-store.ts'

/** One list of the catalogue. */
export interface CatalogueList<T> {
  /** Those of the last successful read. */
  items: readonly T[]
  /** Whether there is no result yet. */
  loading: boolean
  problem: string | null
}

/** Presets and models that can run, each with its own state: the models need Replicate, the presets do not. */
export interface Catalogue {
  presets: CatalogueList<Preset>
  models: CatalogueList<Model>
}

/** Presets change rarely, so a short cache keeps the page fast. */
const KEPT_MS = 60_000

const none = { items: [], loading: true, problem: null }

/** The catalogue is shared by all parts of the page. */
export function createCatalogue(client: Pick<Client, 'presets' | 'models'>) {
  let state: Catalogue = { presets: none, models: none }
  const listeners = new Set<() => void>()

  function set(next: Partial<Catalogue>): void {
    state = { ...state, ...next }
    for (const listener of listeners) listener()
  }

  /** Returns a function that reads the list, unless a read is in progress or its result is recent. */
  function reader<T>(load: () => Promise<T[]>, list: () => CatalogueList<T>, put: (list: CatalogueList<T>) => void) {
    let until = -Infinity
    async function read(): Promise<void> {
      until = Infinity
      const { items, problem } = list()
      if (problem !== null) put({ items, loading: items.length === 0, problem: null })
      try {
        const loaded = await load()
        until = Date.now() + KEPT_MS
        put({ items: loaded, loading: false, problem: null })
      } catch (error) {
        until = -Infinity
        put({ items, loading: false, problem: errorText(error) })
      }
    }
    return () => {
      if (Date.now() >= until) void read()
    }
  }

  const readPresets = reader(
    client.presets,
    () => state.presets,
    (presets) => set({ presets }),
  )
  const readModels = reader(
    client.models,
    () => state.models,
    (models) => set({ models }),
  )

  return {
    state: (): Catalogue => state,
    onChange: (listener: () => void): (() => void) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    /** Reads what failed or is outdated. */
    read: (): void => {
      readPresets()
      readModels()
    },
  }
}

export type CatalogueStore = ReturnType<typeof createCatalogue>
