/** Mutex that serves waiters in the order of their tickets, so that a holder that queues again keeps its place. */
export interface FifoMutex {
  /** Resolves when the caller holds the mutex. */
  acquire(ticket: number): Promise<void>
  /** For the holder: lets all waiters with a smaller ticket go first; resolves when it holds the mutex again. */
  yieldToEarlier(ticket: number): Promise<void>
  release(): void
}

export function createFifoMutex(): FifoMutex {
  const waiting: { ticket: number; enter: () => void }[] = []
  let isHeld = false

  const wait = (ticket: number): Promise<void> =>
    new Promise((enter) => {
      waiting.push({ ticket, enter })
    })

  function release(): void {
    const first = Math.min(...waiting.map(({ ticket }) => ticket))
    const at = waiting.findIndex(({ ticket }) => ticket === first)
    const [next] = at === -1 ? [] : waiting.splice(at, 1)
    isHeld = next !== undefined
    next?.enter()
  }

  return {
    async acquire(ticket) {
      if (isHeld) await wait(ticket)
      isHeld = true
    },
    async yieldToEarlier(ticket) {
      if (!waiting.some((one) => one.ticket < ticket)) return
      const again = wait(ticket)
      release()
      await again
    },
    release,
  }
}
