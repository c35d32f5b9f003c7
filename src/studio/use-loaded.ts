import { useCallback, useEffect, useState } from 'react'
import { errorText } from './run-store.ts'

export interface Loaded<T> {
  /** The last value; kept during a reload. */
  value: T | undefined
  problem: string | null
  reload: () => void
}

export interface LoadedOptions {
  /** Milliseconds between reloads while the page is visible. */
  every?: number | undefined
  /** A change triggers a reload. */
  version?: string | number | boolean | null
}

/** Calls `load` at mount and whenever the function changes, so wrap it in `useCallback`. Returns its latest result. */
export function useLoaded<T>(load: () => Promise<T>, { every, version = null }: LoadedOptions = {}): Loaded<T> {
  const [state, setState] = useState<{ turn: string; value?: T; problem: string | null }>({ turn: '', problem: null })
  const [turns, setTurns] = useState(0)
  const turn = `${turns} ${String(version)}`
  useEffect(() => {
    let current = true
    load().then(
      (value) => current && setState({ turn, value, problem: null }),
      (error: unknown) => current && setState((before) => ({ ...before, turn, problem: errorText(error) })),
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
