import { useQuery } from '@tanstack/react-query'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'

/** The tenant's account, read every `ms` while the page is visible, and after each submission (submit.ts). */
export function useCredits(ms: number) {
  const { client } = useStudio()
  return useQuery({
    queryKey: ['credits'],
    queryFn: () => client.credits(),
    enabled: useMay('credits:read'),
    ...every(ms),
  })
}
