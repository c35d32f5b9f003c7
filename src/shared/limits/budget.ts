/** A budget of requests per minute, shared by all processes. */
export interface Budget {
  /** Waits for a token; rejects when `signal` aborts first. */
  take(signal: AbortSignal): Promise<void>
}
