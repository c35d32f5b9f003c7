import { createContext, useContext, useEffect, useState } from 'react'
import { ApiError, type Client } from '../client/client.ts'
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

/** Milliseconds until a failed read is repeated. */
const AGAIN_MS = 10_000

export function useReadWho(client: Client, epoch: number): Session | null {
  const [who, setWho] = useState<{ epoch: number; session: Session } | null>(null)
  useEffect(() => {
    let current = true
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = (): void =>
      void client.session().then(
        (session) => current && setWho({ epoch, session }),
        // The page works without it, except for the account menu. A missing session shows as a 401.
        (error: unknown) => {
          const isSignedOut = error instanceof ApiError && error.status === 401
          if (current && !isSignedOut) timer = setTimeout(read, AGAIN_MS)
        },
      )
    read()
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [client, epoch])
  return who?.epoch === epoch ? who.session : null
}

export const SCOPE_WORDS: Record<Scope, string> = {
  'jobs:write': 'start and stop runs',
  'jobs:read': 'view runs',
  'credits:read': 'view credits',
  admin: 'operate the deployment',
}
