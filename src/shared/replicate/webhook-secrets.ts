/**
 * The secrets that sign Replicate's webhooks: configured, or fetched and kept. A wrong signature is judged only against
 * a secret fetched less than a minute ago, so that a rotation costs no event; fetches are shared and at most one a
 * minute.
 */
export interface WebhookSecrets {
  /** Current and previous secret; empty when none is known yet. */
  known(): readonly string[]
  /**
   * After a signature that no known secret made. `fresh`: it was checked against a recent secret, so it is wrong.
   * `changed`: check again. `unavailable`: nobody knows.
   */
  refresh(): Promise<'fresh' | 'changed' | 'unavailable'>
}

export function createWebhookSecrets(options: {
  configured: string | null
  fetch: (timeoutMs: number) => Promise<string>
  now?: () => number
}): WebhookSecrets {
  if (options.configured !== null) {
    const secrets = [options.configured]
    return { known: () => secrets, refresh: () => Promise.resolve('fresh') }
  }
  const now = options.now ?? Date.now
  let secrets: string[] = []
  let fetchedAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let running: Promise<'fresh' | 'changed' | 'unavailable'> | undefined

  const fetchOnce = async (): Promise<'fresh' | 'changed' | 'unavailable'> => {
    triedAt = now()
    try {
      const secret = await options.fetch(FETCH_TIMEOUT_MS)
      fetchedAt = now()
      if (secret === secrets[0]) return 'fresh'
      secrets = [secret, ...secrets.slice(0, 1)]
      return 'changed'
    } catch {
      return 'unavailable'
    }
  }

  return {
    known: () => secrets,
    async refresh() {
      if (running) return running
      if (now() - fetchedAt < MINUTE_MS) return 'fresh'
      // Without any secret a webhook cannot be judged at all: then a failed fetch is tried again sooner.
      if (now() - triedAt < (secrets.length > 0 ? MINUTE_MS : RETRY_MS)) return 'unavailable'
      running = fetchOnce().finally(() => {
        running = undefined
      })
      return running
    },
  }
}

const FETCH_TIMEOUT_MS = 2_000
const MINUTE_MS = 60_000
const RETRY_MS = 1_000
