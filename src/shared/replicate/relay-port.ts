/** A read whose response is passed on. */
export interface RelayRequest {
  method: 'GET' | 'QUERY'
  /** Below `/v1`, with its query. */
  path: string
  /** Text of a `QUERY`. */
  body?: string | undefined
}

export interface RelayResponse {
  status: number
  /** Without parameters, such as `application/json`; '' without one. */
  mediaType: string
  text: string
  retryAfterMs: number | null
}

/** What the stream of a prediction sends: a piece of its output, or that there is no more. */
export type StreamPart = { kind: 'output'; text: string } | { kind: 'done' }

/** Reads from Replicate that are passed on to clients. */
export interface RelayPort {
  /** Throws when there is no response, or when it is larger than 4 MB. */
  read(request: RelayRequest): Promise<RelayResponse>
  /** Address of the stream of a prediction; null: it has none. Throws when there is no usable response. */
  streamUrl(prediction: string): Promise<string | null>
  /** Output from the beginning. Ends without `done` when the connection ends. Throws when it breaks. */
  stream(url: string, signal: AbortSignal): AsyncGenerator<StreamPart>
}
