/** A line in which one stands at the head at a time. Whoever comes again with its old number keeps its place. */
export interface Line {
  /** Resolves at the head of the line. */
  enter(number: number): Promise<void>
  /** At the head: lets everyone with a smaller number go first. */
  letEarlierPass(number: number): Promise<void>
  leave(): void
}

export function createLine(): Line {
  const waiting: { number: number; enter: () => void }[] = []
  let taken = false

  const stand = (number: number): Promise<void> =>
    new Promise((enter) => {
      waiting.push({ number, enter })
    })

  function leave(): void {
    const first = Math.min(...waiting.map(({ number }) => number))
    const at = waiting.findIndex(({ number }) => number === first)
    const [next] = at === -1 ? [] : waiting.splice(at, 1)
    taken = next !== undefined
    next?.enter()
  }

  return {
    async enter(number) {
      if (taken) await stand(number)
      taken = true
    },
    async letEarlierPass(number) {
      if (!waiting.some((one) => one.number < number)) return
      const back = stand(number)
      leave()
      await back
    },
    leave,
  }
}
