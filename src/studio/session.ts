import { useSyncExternalStore } from 'react'

const SIGNED_IN_BY_KEY = 'genqueue.signed-in'

/** Whether the service lets us in. The cookie itself cannot be read here; a 401 is how we learn that it is missing. */
const listeners = new Set<() => void>()
let needed = false
/** Grows with every sign-in, so that the page begins anew. */
let epoch = 0

function tell(): void {
  for (const listener of listeners) listener()
}

export const session = {
  /** The service answered 401. */
  refused: (): void => {
    if (needed) return
    needed = true
    tell()
  },
  entered: (): void => {
    needed = false
    epoch += 1
    remember(true)
    tell()
  },
  left: (): void => {
    needed = true
    remember(false)
    tell()
  },
  /** On a machine of one's own nobody signs in, and signing out would mean nothing. */
  byKey: (): boolean => {
    try {
      return localStorage.getItem(SIGNED_IN_BY_KEY) !== null
    } catch {
      return false
    }
  },
}

function remember(byKey: boolean): void {
  try {
    if (byKey) localStorage.setItem(SIGNED_IN_BY_KEY, 'yes')
    else localStorage.removeItem(SIGNED_IN_BY_KEY)
  } catch {
    // Without storage only the sign-out button is missing.
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

export function useSession(): { needed: boolean; epoch: number } {
  const signInNeeded = useSyncExternalStore(subscribe, () => needed)
  const current = useSyncExternalStore(subscribe, () => epoch)
  return { needed: signInNeeded, epoch: current }
}
