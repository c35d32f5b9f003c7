import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import type { Model, Preset } from '../client/types.ts'
import { errorText } from './error-text.ts'
import { useStudio } from './studio-context.ts'

/** One list of the catalogue. */
interface CatalogueList<T> {
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

const KEY = 'catalogue'

export function useCatalogue(): Catalogue {
  const { client } = useStudio()
  return {
    presets: listOf(useQuery({ queryKey: [KEY, 'presets'], queryFn: () => client.presets(), staleTime: KEPT_MS })),
    models: listOf(useQuery({ queryKey: [KEY, 'models'], queryFn: () => client.models(), staleTime: KEPT_MS })),
  }
}

/** Returns a function that reads what failed or is outdated. */
export function useReadCatalogue(): () => void {
  const queries = useQueryClient()
  return () => void queries.refetchQueries({ queryKey: [KEY], stale: true })
}

const NONE: readonly never[] = []

const listOf = <T>({ data, isPending, error }: UseQueryResult<T[]>): CatalogueList<T> => ({
  items: data ?? NONE,
  loading: isPending,
  problem: error && errorText(error),
})
