import { useSyncExternalStore } from 'react'
import { forgetDrafts } from './drafts.ts'

/** Whether the user is signed in. Scripts cannot read the cookie; a 401 means that it is missing. */
interface State {
  needed: boolean
  /** Incremented by every sign-in, to reset the page. */
  epoch: number
  /** Error of a refused sign-in link, or null. */
  linkProblem: string | null
}

const listeners = new Set<() => void>()
let state: State = { needed: false, epoch: 0, linkProblem: null }

function change(next: Partial<State>): void {
  state = { ...state, ...next }
  for (const listener of listeners) listener()
}

/** All tabs share the cookie, so they sign in and out together: browsers report a storage write to every other tab. */
const NEWS = 'genqueue.session'

function notifyOtherTabs(news: 'entered' | 'left'): void {
  try {
    localStorage.setItem(NEWS, news)
    // Browsers do not report a write without a change, so the entry is removed again.
    localStorage.removeItem(NEWS)
  } catch {
    // Without storage, each tab notices at its next request.
  }
}

addEventListener('storage', ({ key, newValue }) => {
  if (key !== NEWS) return
  if (newValue === 'left') leave()
  if (newValue === 'entered') enter()
})

function enter(): void {
  change({ needed: false, epoch: state.epoch + 1, linkProblem: null })
}

function leave(): void {
  forgetDrafts()
  change({ needed: true })
}

export const session = {
  /** The service returned 401. */
  refused: (): void => {
    if (!state.needed) change({ needed: true })
  },
  entered: (): void => {
    enter()
    notifyOtherTabs('entered')
  },
  left: (): void => {
    leave()
    notifyOtherTabs('left')
  },
  linkRefused: (linkProblem: string): void => change({ linkProblem }),
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

export const useSession = (): State => useSyncExternalStore(subscribe, () => state)
