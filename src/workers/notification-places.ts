import type { DestinationHealth } from '../shared/notifications/ports.ts'

/** The places of a process for notifications that are being sent, and who gets them. */

/** Attempts of a process at the same time; those to destinations that fail, or never succeeded, have half of the places. */
const PLACES = 256
const FRAGILE_PLACES = PLACES / 2
/** Places of one tenant while others wait. */
const TENANT_PLACES = PLACES / 4
/**
 * Of the places for destinations that fail, or never succeeded, a tenant has at most this multiple of those that are free. So
 * however many tenants have dead receivers, the first attempt for another one finds a place.
 */
const FRAGILE_SHARE = 4
/** Attempts to one destination at the same time: one that succeeded last, and any other one. */
const PROVEN_AT_ONCE = 8
const FRAGILE_AT_ONCE = 1
/** Destinations of one tenant, and of all, that may wait for a place. More are left where they are, under their lease. */
const TENANT_WAITING = 500
const MOST_WAITING = 5000

export interface Destination {
  name: string
  tenant: string
  health: DestinationHealth
  inFlight: number
}

/** One that never succeeded, or failed last: a new one must not take what others need. */
const isFragile = ({ health }: Destination): boolean => health.succeeded_at === null || health.failures > 0

/** Adds to a count; none is kept for nothing. */
function add<K>(counts: Map<K, number>, of: K, by: number): void {
  const count = (counts.get(of) ?? 0) + by
  if (count === 0) counts.delete(of)
  else counts.set(of, count)
}

export function createPlaces() {
  /** Everything that waits or is being sent to. */
  const known = new Map<string, Destination>()
  /** By tenant, in the order in which tenants are served next. */
  const waiting = new Map<string, Set<Destination>>()
  let waitingCount = 0
  const taken = { all: 0, fragile: 0 }
  const takenBy = new Map<string, number>()
  const fragileBy = new Map<string, number>()
  /** Attempts of a destination that were counted as such when they began. */
  const fragileOf = new Map<Destination, number>()

  const isWaiting = (destination: Destination): boolean => waiting.get(destination.tenant)?.has(destination) ?? false

  function forget(destination: Destination): void {
    if (destination.inFlight > 0 || isWaiting(destination)) return
    known.delete(destination.name)
  }

  function leave(destination: Destination): void {
    const mine = waiting.get(destination.tenant)
    if (!mine?.delete(destination)) return
    waitingCount--
    if (mine.size === 0) waiting.delete(destination.tenant)
  }

  function fragileLeft(tenant: string): number {
    const free = FRAGILE_PLACES - taken.fragile
    return Math.min(free, FRAGILE_SHARE * free - (fragileBy.get(tenant) ?? 0))
  }

  /** Attempts that may begin for it now. */
  function seatsFor(destination: Destination): number {
    const fragile = isFragile(destination)
    const isAlone = waiting.size < 2
    const mine = takenBy.get(destination.tenant) ?? 0
    return Math.min(
      (fragile ? FRAGILE_AT_ONCE : PROVEN_AT_ONCE) - destination.inFlight,
      PLACES - taken.all,
      fragile ? fragileLeft(destination.tenant) : PLACES,
      isAlone ? PLACES : TENANT_PLACES - mine,
    )
  }

  function count(destination: Destination, by: number): void {
    destination.inFlight += by
    taken.all += by
    add(takenBy, destination.tenant, by)
  }

  function countFragile(destination: Destination, by: number): void {
    taken.fragile += by
    add(fragileBy, destination.tenant, by)
    add(fragileOf, destination, by)
  }

  return {
    hasRoom: (): boolean => waitingCount < MOST_WAITING && taken.all < PLACES,

    /** Something is due for a destination. */
    offer(found: Destination | { destination: string; tenant: string; health: DestinationHealth }): void {
      const name = 'name' in found ? found.name : found.destination
      const one = known.get(name) ?? { name, tenant: found.tenant, health: found.health, inFlight: 0 }
      // What this process has seen of it is newer.
      if (one.inFlight === 0) one.health = found.health
      const mine = waiting.get(one.tenant) ?? new Set()
      if (mine.has(one) || mine.size >= TENANT_WAITING || waitingCount >= MOST_WAITING) return
      known.set(name, one)
      waiting.set(one.tenant, mine.add(one))
      waitingCount++
    },

    /** The next destination that is served, with the places that are taken for it; null: none can be. */
    next(): { destination: Destination; seats: number } | null {
      if (taken.all >= PLACES) return null
      for (const [tenant, mine] of waiting) {
        for (const destination of mine) {
          const seats = seatsFor(destination)
          if (seats < 1) continue
          leave(destination)
          // The other tenants come first.
          const rest = waiting.get(tenant)
          if (rest) {
            waiting.delete(tenant)
            waiting.set(tenant, rest)
          }
          count(destination, seats)
          if (isFragile(destination)) countFragile(destination, seats)
          return { destination, seats }
        }
      }
      return null
    },

    /** Attempts have ended, or there was nothing for their places. */
    release(destination: Destination, seats: number): void {
      if (seats === 0) return
      count(destination, -seats)
      const fragile = Math.min(fragileOf.get(destination) ?? 0, seats)
      if (fragile > 0) countFragile(destination, -fragile)
      forget(destination)
    },

    /** How a destination does after an attempt. */
    learn(destination: Destination, health: DestinationHealth): void {
      destination.health = health
    },
  }
}
