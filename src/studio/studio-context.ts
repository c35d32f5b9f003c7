import { createContext, useContext } from 'react'
import type { Client } from '../client/client.ts'
import type { Runs } from './run-store.ts'

interface Studio {
  client: Client
  runs: Runs
}

export const StudioContext = createContext<Studio | null>(null)

export function useStudio(): Studio {
  const studio = useContext(StudioContext)
  if (!studio) throw new Error('Studio is used outside of its provider.')
  return studio
}
