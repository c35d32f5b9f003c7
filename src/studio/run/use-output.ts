import { useEffect, useState } from 'react'
import type { KnownLogs } from '../../client/client.ts'
import { useStudio } from '../studio-context.ts'

/** What a run has written until now; null: no logs, or they are not followed. */
export interface Written {
  text: string
  logs: KnownLogs | null
}

/**
 * Follows a run that is not final over one connection: its states, its text and, if wanted, its logs. null: none. A
 * connection begins with the whole job and the whole text, so no separate read is needed.
 */
export function useOutput(id: string | null, withLogs: boolean): Written {
  const { client, runs } = useStudio()
  const [written, setWritten] = useState<Written>({ text: '', logs: null })
  useEffect(() => {
    if (id === null) return undefined
    const left = new AbortController()
    let text = ''
    let frame = 0
    /** A model may write many words between two pictures of the screen. */
    const show = (): void => {
      frame ||= requestAnimationFrame(() => {
        frame = 0
        setWritten((now) => ({ ...now, text }))
      })
    }
    const onLogs = (logs: KnownLogs): void => setWritten((now) => ({ ...now, logs }))
    async function follow(run: string): Promise<void> {
      const stream = client.streamOutput(run, {
        signal: left.signal,
        onState: runs.setConnection,
        onJob: runs.accept,
        onRestart: () => {
          text = ''
          show()
        },
        ...(withLogs ? { onLogs } : {}),
      })
      for await (const chunk of stream) {
        text += chunk
        show()
      }
    }
    // A run that failed was shown as such. A refusal lasts, and is shown by the next read of the run.
    follow(id).catch(() => undefined)
    return () => {
      left.abort()
      cancelAnimationFrame(frame)
    }
  }, [client, runs, id, withLogs])
  return written
}
