import { useState } from 'react'
import { errorText } from '../error-text.ts'

/** Something that a button does: whether it is being done, its last result, and why it failed. */
export function useAction<T>(act: () => Promise<T>) {
  const [state, setState] = useState<{ busy: boolean; result: T | null; problem: string | null }>({
    busy: false,
    result: null,
    problem: null,
  })
  const run = async (): Promise<void> => {
    setState({ busy: true, result: null, problem: null })
    try {
      setState({ busy: false, result: await act(), problem: null })
    } catch (error) {
      setState({ busy: false, result: null, problem: errorText(error) })
    }
  }
  return { ...state, run: () => void run() }
}
