/**
 * A create that is being answered, noted before and with the acceptance of its job. When the answer does not reach the client, the same
 * request gets this job once, instead of another one (docs/adr/0015-creates-sent-again.md).
 */
export interface Answering {
  /** Digest of the request. */
  entry: string
  job: string
  /** The process that answers. */
  process: string
  /** ms for which it is remembered. */
  forMs: number
}

/** What becomes of a create, by the equal ones before it. */
export type Claim =
  | { kind: 'claimed'; job: string }
  /** The processes that are answering the same request now. */
  | { kind: 'busy'; processes: string[] }
  /** The create is noted, and goes on. */
  | { kind: 'noted' }
