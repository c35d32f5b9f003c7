import { useQuery } from '@tanstack/react-query'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'

const REFRESH_MS = 5_000

/** The endpoints of the tenant, oldest first. */
export function useEndpoints() {
  const { client } = useStudio()
  return useQuery({
    queryKey: ['endpoints'],
    queryFn: () => client.endpoints(),
    enabled: useMay('webhooks'),
    ...every(REFRESH_MS),
  })
}
