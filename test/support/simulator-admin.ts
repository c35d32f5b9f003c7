/** The simulator's admin routes, for tests that ask the other side. */
export interface Books {
  predictions: {
    id: string
    created_at: string
    model: string
    status: string
    webhook: string | null
    billed_seconds: number
  }[]
  counts: { create_requests: number; created: number; gets: number; lists: number; cancels: number; throttled: number }
  webhooks: { sent: number; delivered: number; failed: number; dropped: number }
  spend: number
}

export interface SimulatorAdmin {
  books(): Promise<Books>
  /** Merges; null clears. */
  faults(faults: object): Promise<void>
  advance(seconds: number): Promise<void>
}

export function simulatorAdmin(url: string): SimulatorAdmin {
  const post = async (path: string, body: object): Promise<void> => {
    const response = await fetch(`${url}/_sim/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`/_sim/${path} answered ${response.status}: ${await response.text()}`)
  }
  return {
    async books() {
      const response = await fetch(`${url}/_sim/books`)
      return (await response.json()) as Books
    },
    faults: (faults) => post('faults', faults),
    advance: (seconds) => post('age', { seconds }),
  }
}
