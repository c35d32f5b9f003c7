import { useEffect, useSyncExternalStore } from 'react'
import type { Catalogue } from './catalogue.ts'
import { useStudio } from './studio-context.ts'

export function useCatalogue(): Catalogue {
  const { catalogue } = useStudio()
  useEffect(() => catalogue.read(), [catalogue])
  return useSyncExternalStore(catalogue.onChange, catalogue.state)
}
