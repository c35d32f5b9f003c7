import { messageOf } from '../values/error-text.ts'

/**
 * Secrets that sign Replicate's webhooks: configured, or fetched and cached. A signature is rejected only after a check
 * against a secret fetched less than a minute ago, so that a rotation loses no event. Fetches are shared (single-flight)
 * and limited to one per minute.
 */
export interface WebhookSecrets {
  /** Current and previous secret; empty before the first fetch. */
  known(): readonly string[]
  /**
   * Called after a signature that matches no known secret. `fresh`: it was checked against a recent secret, so it is
   * invalid. `changed`: check again. `unavailable`: cannot be decided.
   */
  refresh(): Promise<'fresh' | 'changed' | 'unavailable'>
  /** Reason why webhooks cannot be verified now, after a fetch of the secret if needed; null: they can be. */
  problem(): Promise<string | null>
}

export function createWebhookSecrets(options: {
  configured: string | null
  fetch: (timeoutMs: number) => Promise<string>
  now?: () => number
}): WebhookSecrets {
  if (options.configured !== null) {
    const secrets = [options.configured]
    return {
      known: () => secrets,
      refresh: () => Promise.resolve('fresh'),
      // An unresponsive Replicate has its own condition; the configured secret is presumed right.
      problem: () =>
        options.fetch(FETCH_TIMEOUT_MS).then(
          (secret) =>
            secret === options.configured
              ? null
              : 'REPLICATE_WEBHOOK_SECRET is not the secret of this account. Correct it, or unset it to have it fetched',
          () => null,
        ),
    }
  }
  const now = options.now ?? Date.now
  let secrets: string[] = []
  let fetchedAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let failure = 'not fetched yet'
  let running: Promise<'fresh' | 'changed' | 'unavailable'> | undefined

  const fetchOnce = async (): Promise<'fresh' | 'changed' | 'unavailable'> => {
    triedAt = now()
    try {
      const secret = await options.fetch(FETCH_TIMEOUT_MS)
      fetchedAt = now()
      if (secret === secrets[0]) return 'fresh'
      secrets = [secret, ...secrets.slice(0, 1)]
      return 'changed'
    } catch (error) {
      failure = messageOf(error)
      return 'unavailable'
    }
  }

  async function refresh(): Promise<'fresh' | 'changed' | 'unavailable'> {
    if (running) return running
    if (now() - fetchedAt < MINUTE_MS) return 'fresh'
    // Without any secret no webhook can be verified, so a failed fetch is retried sooner.
    if (now() - triedAt < (secrets.length > 0 ? MINUTE_MS : RETRY_MS)) return 'unavailable'
    running = fetchOnce().finally(() => {
      running = undefined
    })
    return running
  }

  return {
    known: () => secrets,
    refresh,
    async problem() {
      if (secrets.length === 0) await refresh()
      return secrets.length > 0 ? null : failure
    },
  }
}

const FETCH_TIMEOUT_MS = 2_000
const MINUTE_MS = 60_000
const RETRY_MS = 1_000
