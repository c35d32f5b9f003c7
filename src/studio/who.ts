import { useQuery } from '@tanstack/react-query'
import { ApiError } from '../client/client.ts'
import type { Scope, Session } from '../client/types.ts'
import { useStudio } from './studio-context.ts'

/** Milliseconds until a failed read is repeated. */
const AGAIN_MS = 10_000

/** The signed-in tenant and key; null until loaded. The page works without it, except for the account menu. */
export function useWho(): Session | null {
  const { client } = useStudio()
  const { data } = useQuery({
    queryKey: ['session'],
    queryFn: () => client.session(),
    staleTime: Infinity,
    // A missing session shows as a 401 of the other requests.
    retry: (_count, error) => !(error instanceof ApiError && error.status === 401),
    retryDelay: AGAIN_MS,
    retryOnMount: false,
  })
  return data ?? null
}

/** Shows everything not known to be forbidden; the service decides. */
export function mayDo(who: Session | null, scope: Scope): boolean {
  return who === null || who.scopes.includes(scope)
}

export function useMay(scope: Scope): boolean {
  return mayDo(useWho(), scope)
}

export const SCOPE_WORDS: Record<Scope, string> = {
  'jobs:write': 'start and stop runs',
  'jobs:read': 'view runs',
  'credits:read': 'view credits',
  webhooks: 'manage notifications',
  admin: 'operate the deployment',
}
