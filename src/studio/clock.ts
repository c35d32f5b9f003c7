import { useSyncExternalStore } from 'react'

/** Milliseconds by which the service's clock is ahead of this machine's. From the Date header, so exact to a second. */
let offset = 0

export function learnClock(dateHeader: string | null): void {
  const there = dateHeader ? Date.parse(dateHeader) : Number.NaN
  if (Number.isNaN(there)) return
  const difference = there - Date.now()
  offset = Math.abs(difference) > 2_000 ? difference : 0
}

export function serviceNow(): number {
  return Date.now() + offset
}

const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined
let tick = 0

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    tick += 1
    for (const each of listeners) each()
  }, 1_000)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

const noSubscription = () => () => undefined

/** Renders the caller once a second while `running`. One timer serves the whole page. */
export function useSeconds(running: boolean): void {
  useSyncExternalStore(running ? subscribe : noSubscription, () => tick)
}
