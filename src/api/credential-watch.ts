import type { EventSource } from './http.ts'

/** Of which credentials a stream lives: the key behind them, and when they end by themselves (ms). */
export interface WatchedCredentials {
  tenant: string
  /** null: the development key */
  keyId: string | null
  until: number | null
}

const EVERY_MS = 3_000

/**
 * Ends event streams with the credentials that opened them: a stream may last for days, and a key that was revoked must
 * open nothing after seconds. One look for each key, however many streams it has.
 */
export function createCredentialWatch(alive: (keyId: string) => Promise<boolean>, everyMs = EVERY_MS) {
  const streams = new Set<{ credentials: WatchedCredentials; end: () => void }>()
  let timer: NodeJS.Timeout | undefined
  let looking = false

  async function look(): Promise<void> {
    const now = Date.now()
    for (const { credentials, end } of streams) if (credentials.until !== null && credentials.until <= now) end()
    const ids = new Set([...streams].flatMap(({ credentials }) => credentials.keyId ?? []))
    for (const id of ids) {
      // When Redis does not answer nobody knows: the next look tells.
      if (await alive(id).catch(() => true)) continue
      for (const { credentials, end } of streams) if (credentials.keyId === id) end()
    }
  }

  const tick = (): void => {
    if (looking) return
    looking = true
    void look().finally(() => (looking = false))
  }

  return {
    guard:
      (credentials: WatchedCredentials, source: EventSource): EventSource =>
      (send, end) => {
        const stream = { credentials, end }
        streams.add(stream)
        timer ??= setInterval(tick, everyMs).unref()
        const stop = source(send, end)
        return () => {
          streams.delete(stream)
          stop()
        }
      },
    stop: (): void => clearInterval(timer),
  }
}
