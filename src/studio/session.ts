import { useSyncExternalStore } from 'react'
import { forgetDrafts } from './drafts.ts'

/** Whether the service lets us in. The cookie itself cannot be read here; a 401 is how we learn that it is missing. */
interface State {
  needed: boolean
  /** Grows with every sign-in, so that the page begins anew. */
  epoch: number
  /** Why a sign-in link was refused; null: none was. */
  linkProblem: string | null
}

const listeners = new Set<() => void>()
let state: State = { needed: false, epoch: 0, linkProblem: null }

function change(next: Partial<State>): void {
  state = { ...state, ...next }
  for (const listener of listeners) listener()
}

/** All tabs share the cookie, so all of them sign in and out together: browsers report a write here to every other tab. */
const NEWS = 'genqueue.session'

function notifyOtherTabs(news: 'entered' | 'left'): void {
  try {
    localStorage.setItem(NEWS, news)
    // A write that changes nothing is not reported, so the next one must find nothing.
    localStorage.removeItem(NEWS)
  } catch {
    // Without storage each tab learns it by its next request.
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
  /** The service answered 401. */
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
