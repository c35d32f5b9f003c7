import { useQuery } from '@tanstack/react-query'
import { every } from './queries.ts'
import { useStudio } from './studio-context.ts'

/** State of this process and of what it depends on, read every `ms` while the page is visible. */
export function useReadiness(ms: number) {
  const { client } = useStudio()
  return useQuery({ queryKey: ['readiness'], queryFn: () => client.readiness(), ...every(ms) })
}
