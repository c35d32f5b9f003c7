import { createContext, useContext, useEffect, useState } from 'react'
import type { Client } from '../client/client.ts'
import type { Scope, Session } from '../client/types.ts'

/** The signed-in tenant and key; null until loaded. */
export const WhoContext = createContext<Session | null>(null)

export function useWho(): Session | null {
  return useContext(WhoContext)
}

/** Shows everything not known to be forbidden; the service decides. */
export function mayDo(who: Session | null, scope: Scope): boolean {
  return who === null || who.scopes.includes(scope)
}

export function useMay(scope: Scope): boolean {
  return mayDo(useWho(), scope)
}

export function useReadWho(client: Client, epoch: number): Session | null {
  const [who, setWho] = useState<{ epoch: number; session: Session } | null>(null)
  useEffect(() => {
    let current = true
    client.session().then(
      (session) => current && setWho({ epoch, session }),
      // The page works without it; a missing session shows as a 401.
      () => undefined,
    )
    return () => void (current = false)
  }, [client, epoch])
  return who?.epoch === epoch ? who.session : null
}

export const SCOPE_WORDS: Record<Scope, string> = {
  'jobs:write': 'start and stop runs',
  'jobs:read': 'view runs',
  'credits:read': 'view credits',
  admin: 'operate the deployment',
}
