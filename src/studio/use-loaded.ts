import { useCallback, useEffect, useState } from 'react'
import { words } from './run-store.ts'

export interface Loaded<T> {
  /** The last answer; it stays while another one is asked for. */
  value: T | undefined
  problem: string | null
  reload: () => void
}

export interface LoadedOptions {
  /** ms after which it is asked for again, and again, while the page can be seen. */
  every?: number | undefined
  /** Asked for again when this is another one. */
  version?: string | number | boolean | null
}

/** What `load` answers, asked for at first and whenever it is another function: keep it by `useCallback`. */
export function useLoaded<T>(load: () => Promise<T>, { every, version = null }: LoadedOptions = {}): Loaded<T> {
  const [state, setState] = useState<{ turn: string; value?: T; problem: string | null }>({ turn: '', problem: null })
  const [turns, setTurns] = useState(0)
  const turn = `${turns} ${String(version)}`
  useEffect(() => {
    let current = true
    load().then(
      (value) => current && setState({ turn, value, problem: null }),
      (error: unknown) => current && setState((before) => ({ ...before, turn, problem: words(error) })),
    )
    return () => void (current = false)
  }, [load, turn])
  const reload = useCallback(() => setTurns((before) => before + 1), [])
  useEffect(() => {
    if (every === undefined) return undefined
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') reload()
    }, every)
    return () => clearInterval(timer)
  }, [every, reload])
  return { value: state.value, problem: state.problem, reload }
}
