'use client'

import { useMemo, useSyncExternalStore } from 'react'
import { createClient, type Client } from './client.ts'
import type { StreamState } from './event-stream.ts'
import { isComplete, isFinal } from './options.ts'
import type { SubscribeHandlers } from './options.ts'
import type { Subscription } from './subscription.ts'
import type { Batch, Job } from './types.ts'

/** Either `client`, or `token`, for which a client is created. */
export interface WatchOptions<T> {
  client?: Client | undefined
  /** Token for this job or batch, from `jobToken` or `batchToken` on your server. */
  token?: string | undefined
  /** With `token`: address of the service; '' (the page's own origin) by default. */
  baseUrl?: string | undefined
  /** What is shown before the first news, on a server too. */
  initial?: T | undefined
}

interface Watched<T> {
  now: T | undefined
  /** The service refused permanently (an ApiError): nothing more arrives. null: nothing is wrong. */
  error: unknown
  /** `idle`: nothing is followed, because there is no id, or nothing can change any more. */
  connection: StreamState | 'idle'
}

export interface WatchedJob extends Omit<Watched<Job>, 'now'> {
  /** undefined before the first news */
  job: Job | undefined
}

export interface WatchedBatch extends Omit<Watched<Batch>, 'now'> {
  /** undefined before the first news */
  batch: Batch | undefined
}

/**
 * Follows a job until it is final, over lost connections, while the component is mounted. Without an id nothing is
 * followed.
 */
export function useJob(id: string | null | undefined, options: WatchOptions<Job> = {}): WatchedJob {
  const { now: job, ...rest } = useWatched(id, options, jobOf)
  return { job, ...rest }
}

/** The same for a batch until it is complete. */
export function useBatch(id: string | null | undefined, options: WatchOptions<Batch> = {}): WatchedBatch {
  const { now: batch, ...rest } = useWatched(id, options, batchOf)
  return { batch, ...rest }
}

interface Kind<T> {
  follow: (client: Client, id: string, handlers: SubscribeHandlers<T>) => Subscription
  isLast: (now: T) => boolean
}

const jobOf: Kind<Job> = { follow: (client, id, handlers) => client.subscribe(id, handlers), isLast: isFinal }
const batchOf: Kind<Batch> = {
  follow: (client, id, handlers) => client.subscribeBatch(id, handlers),
  isLast: isComplete,
}

function useWatched<T>(
  id: string | null | undefined,
  { client: given, token, baseUrl = '', initial }: WatchOptions<T>,
  kind: Kind<T>,
): Watched<T> {
  const client = useMemo(() => given ?? createClient({ baseUrl, key: token }), [given, baseUrl, token])
  // The first state only: later ones of `initial` are older than the news.
  // oxlint-disable-next-line react/exhaustive-deps
  const watch = useMemo(() => createWatch(kind, client, id ?? null, initial), [kind, client, id])
  return useSyncExternalStore(watch.subscribe, watch.now, watch.first)
}

/** Follows while it has listeners. Every change is a new object, so that React never shows parts of two states. */
function createWatch<T>(kind: Kind<T>, client: Client, id: string | null, initial: T | undefined) {
  const listeners = new Set<() => void>()
  const first: Watched<T> = { now: initial, error: null, connection: 'idle' }
  let watched = first
  let subscription: Subscription | null = null

  function set(change: Partial<Watched<T>>): void {
    watched = { ...watched, ...change }
    for (const listener of listeners) listener()
  }

  function open(): void {
    if (id === null || (watched.now !== undefined && kind.isLast(watched.now))) return
    subscription = kind.follow(client, id, {
      onUpdate: (now) => set(kind.isLast(now) ? { now, connection: 'idle' } : { now }),
      onState: (connection) => set({ connection, error: null }),
      onError: (error) => set({ error, connection: 'idle' }),
    })
  }

  return {
    subscribe: (listener: () => void): (() => void) => {
      listeners.add(listener)
      if (listeners.size === 1) open()
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) subscription?.close()
      }
    },
    now: (): Watched<T> => watched,
    first: (): Watched<T> => first,
  }
}
