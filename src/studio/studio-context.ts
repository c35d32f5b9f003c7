import { createContext, useContext } from 'react'
import type { Client } from '../client/client.ts'
import type { CatalogueStore } from './catalogue.ts'
import type { Runs } from './run-store.ts'

export interface Studio {
  client: Client
  runs: Runs
  /** Presets and models. */
  catalogue: CatalogueStore
}

export const StudioContext = createContext<Studio | null>(null)

export function useStudio(): Studio {
  const studio = useContext(StudioContext)
  if (!studio) throw new Error('Studio is used outside of its provider.')
  return studio
}
