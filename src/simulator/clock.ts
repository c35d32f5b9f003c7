// From the module, not from `globalThis`: a test that replaces the timers of its process does not stop the simulator.
import { clearTimeout, setImmediate, setTimeout } from 'node:timers'

/**
 * The simulator's time. `real` is the time of the machine, which `advance` moves forward; `manual` stands still but for
 * `advance`, so that a test decides when a run starts, when it ends and when a webhook is sent again.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds of a time that never goes backwards. */
  elapsed(): number
  after(ms: number, action: () => void): Timer
  /** Resolves early when the signal is aborted. Never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** Work that takes real time, such as a request: `advance` waits for it between two timers. */
  hold<T>(work: Promise<T>): Promise<T>
  /** Moves the time forward: every timer on the way fires in order, at its own time. */
  advance(ms: number): Promise<void>
}

export interface Timer {
  cancel(): void
}

export const CLOCKS = ['real', 'manual'] as const
export type ClockKind = (typeof CLOCKS)[number]

interface Waiting {
  dueAt: number
  action: () => void
  native: NodeJS.Timeout | undefined
}

/** The longest delay of a timer of Node. */
const LONGEST_MS = 2 ** 31 - 1

const realNow = Date.now
const realElapsed = performance.now.bind(performance)

export function createClock(kind: ClockKind = 'real'): Clock {
  const isReal = kind === 'real'
  const startedAt = realNow()
  const waiting = new Set<Waiting>()
  const busy = new Set<Promise<unknown>>()
  let advanced = 0
  let advancing: Promise<void> = Promise.resolve()

  const now = (): number => (isReal ? realNow() : startedAt) + advanced

  /** Sets the timer of Node again, which an advance has left too long. */
  function arm(timer: Waiting): void {
    clearTimeout(timer.native)
    if (!isReal) return
    const ms = Math.max(0, timer.dueAt - now())
    timer.native = setTimeout(() => (ms > LONGEST_MS ? arm(timer) : fire(timer)), Math.min(ms, LONGEST_MS))
  }

  function fire(timer: Waiting): void {
    clearTimeout(timer.native)
    if (waiting.delete(timer)) timer.action()
  }

  function after(ms: number, action: () => void): Timer {
    const timer: Waiting = { dueAt: now() + Math.max(0, ms), action, native: undefined }
    waiting.add(timer)
    arm(timer)
    return {
      cancel() {
        clearTimeout(timer.native)
        waiting.delete(timer)
      },
    }
  }

  /** The next timer until a time; of equals the one that was set first. */
  function nextUntil(time: number): Waiting | undefined {
    let next: Waiting | undefined
    for (const timer of waiting)
      if (timer.dueAt <= time && (next === undefined || timer.dueAt < next.dueAt)) next = timer
    return next
  }

  async function settle(): Promise<void> {
    do {
      await Promise.allSettled(busy)
      await new Promise((resolve) => setImmediate(resolve))
    } while (busy.size > 0)
  }

  const moveTo = (time: number): void => void (advanced += Math.max(0, time - now()))

  async function advanceBy(ms: number): Promise<void> {
    await settle()
    const until = now() + ms
    for (let timer = nextUntil(until); timer !== undefined; timer = nextUntil(until)) {
      moveTo(timer.dueAt)
      fire(timer)
      await settle()
    }
    moveTo(until)
    for (const timer of waiting) arm(timer)
  }

  return {
    now,
    elapsed: () => (isReal ? realElapsed() : 0) + advanced,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve()
        const wake = (): void => {
          timer.cancel()
          signal.removeEventListener('abort', wake)
          resolve()
        }
        const timer = after(ms, wake)
        signal.addEventListener('abort', wake)
      }),
    hold(work) {
      busy.add(work)
      void Promise.allSettled([work]).then(() => busy.delete(work))
      return work
    },
    advance(ms) {
      if (Number.isFinite(ms) && ms >= 0) return (advancing = advancing.then(() => advanceBy(ms)))
      return Promise.reject(new RangeError(`The clock advances by milliseconds from 0, not by ${ms}.`))
    },
  }
}
