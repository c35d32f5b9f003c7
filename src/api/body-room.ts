import { ServiceError } from '../shared/errors.ts'

/** How much of the bodies of a kind is in memory at once, bytes. */
export interface RoomSizes {
  /** Of all bodies that are no longer than `SMALL_BODY`: long ones take nothing of it. */
  small: number
  /** Of all longer ones. */
  large: number
  /** The part of either that one holder may have, 0 to 1. */
  share: number
}

/** The room that one request takes; given back when it has been answered, or earlier. */
export interface BodyShare {
  /** So many more bytes came. Throws `too_many_bodies` when the share of the holder is used up, `capacity` when all is. */
  take(bytes: number): void
  /** So many of them are not in memory any more. */
  give(bytes: number): void
  leave(): void
}

/** A body up to this length takes room among the small ones. */
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
 * A bound on the memory that bodies take while they arrive and are worked on. Small bodies have a pool apart, so that long
 * ones, however slowly they come, leave room for a plain request; and no holder (a tenant, an address, an attempt) has more
 * than a share of either pool, so that nobody can use up the room of the others.
 */
export function createBodyRoom({ small, large, share }: RoomSizes) {
  const pools = { small: pool(small), large: pool(large) }

  function check(pool: Pool, holder: string, bytes: number): void {
    if (pool.taken + bytes > pool.max)
      throw new ServiceError('capacity', 'Too many large bodies arrive at once.', { retryAfter: 2 })
    if ((pool.byHolder.get(holder) ?? 0) + bytes > pool.max * share)
      throw new ServiceError(
        'too_many_bodies',
        `The bodies that you send at once are limited to ${Math.floor(pool.max * share)} bytes. Wait for answers.`,
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

export type BodyRoom = ReturnType<typeof createBodyRoom>
