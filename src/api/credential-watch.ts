import type { EventSource } from './http.ts'

/** Credentials of a stream: the key behind them, and their expiry (ms). */
export interface WatchedCredentials {
  tenant: string
  /** null: the development key */
  keyId: string | null
  until: number | null
}

const EVERY_MS = 3_000

/**
 * Ends event streams with their credentials: a stream can last for days, and a revoked key must become useless within
 * seconds. Makes one check per key, independent of its number of streams.
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
      // Unknown while Redis does not respond; the next check decides.
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
