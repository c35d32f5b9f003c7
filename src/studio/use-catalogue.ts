import { useCallback } from 'react'
import type { Catalogue } from './catalogue.ts'
import { useStudio } from './studio-context.ts'
import { useLoaded, type Loaded } from './use-loaded.ts'

export function useCatalogue(): Loaded<Catalogue> {
  const { catalogue } = useStudio()
  return useLoaded(useCallback(() => catalogue(), [catalogue]))
}
