import { ServiceError } from '../shared/errors/service-error.ts'

/** Memory limits of one kind of bodies, bytes. */
export interface BudgetSizes {
  /** Total of bodies up to `SMALL_BODY`; longer ones do not use it. */
  small: number
  /** Total of longer bodies. */
  large: number
  /** Fraction of either that one holder can take, 0 to 1. */
  share: number
}

/** Reservation of one request; released after its response, or earlier. */
export interface BodyShare {
  /** Reserves bytes. Throws `too_many_bodies` when the holder's share is used up, `capacity` when the total is. */
  take(bytes: number): void
  /** Releases bytes that have left memory. */
  give(bytes: number): void
  leave(): void
}

/** Longest body that counts as small. */
export const SMALL_BODY = 128 * 1024

interface Pool {
  max: number
  taken: number
  byHolder: Map<string, number>
}

const pool = (max: number): Pool => ({ max, taken: 0, byHolder: new Map() })

function change(pool: Pool, holder: string, bytes: number): void {
  pool.taken += bytes
  const left = (pool.byHolder.get(holder) ?? 0) + bytes
  if (left > 0) pool.byHolder.set(holder, left)
  else pool.byHolder.delete(holder)
}

/**
 * Semaphore in bytes: limits the memory of bodies while they arrive and are processed. Small bodies have a separate pool, so
 * that slow long ones never block plain requests. Each holder (a tenant, an address, an attempt) is limited to a share of
 * either pool, so that no holder can block the others.
 */
export function createBodyBudget({ small, large, share }: BudgetSizes) {
  const pools = { small: pool(small), large: pool(large) }

  function check(pool: Pool, holder: string, bytes: number): void {
    if (pool.taken + bytes > pool.max)
      throw new ServiceError('capacity', 'Too many large bodies are being received.', { retryAfter: 2 })
    if ((pool.byHolder.get(holder) ?? 0) + bytes > pool.max * share)
      throw new ServiceError(
        'too_many_bodies',
        `Concurrent request bodies exceed the limit of ${Math.floor(pool.max * share)} bytes. Wait for responses.`,
        { retryAfter: 2, limit: 'body_bytes' },
      )
  }

  return {
    enter(holder: string): BodyShare {
      let mine = 0
      let at = pools.small
      return {
        take(bytes) {
          const isLarge = at === pools.large || mine + bytes > SMALL_BODY
          const to = isLarge ? pools.large : pools.small
          const more = to === at ? bytes : mine + bytes
          check(to, holder, more)
          if (to !== at) change(at, holder, -mine)
          at = to
          mine += bytes
          change(to, holder, more)
        },
        give(bytes) {
          const given = Math.min(bytes, mine)
          mine -= given
          change(at, holder, -given)
        },
        leave() {
          change(at, holder, -mine)
          mine = 0
        },
      }
    },
  }
}

export type BodyBudget = ReturnType<typeof createBodyBudget>
