/**
 * A create that is being answered, noted with the acceptance of its job. When the answer does not reach the client, the same
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

/** Result of a look for a job whose answer was lost. */
export type Claim =
  | { kind: 'claimed'; job: string }
  /** The processes that are answering the same request now. */
  | { kind: 'busy'; processes: string[] }
  | { kind: 'none' }
