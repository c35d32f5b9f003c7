import type { Happening, StreamState } from './event-stream.ts'
import { linkSignal } from './signals.ts'

/** Events are arriving, or could. */
export interface Subscription {
  /** Ends it and closes its connection; no handler is called afterwards. */
  close: () => void
}

/** The same without handlers: to be read by `for await`, which closes it when it is left. */
export interface SubscribedIterable<T> extends Subscription, AsyncIterable<T> {}

export interface StreamOptions {
  /** Ends the stream: an iteration throws the reason, handlers are called no more. */
  signal?: AbortSignal | undefined
  /** Called when the connection opens or is lost. */
  onState?: ((state: StreamState) => void) | undefined
}

export interface StreamHandlers extends StreamOptions {
  /**
   * The subscription has ended: the service refused permanently (an ApiError, e.g. 401), or one of the handlers threw (its
   * error). Without this handler, or if it throws, the error is an unhandled rejection, which stops a Node process.
   */
  onError?: ((error: unknown) => void) | undefined
}

export type Source<T> = (signal: AbortSignal | undefined) => AsyncGenerator<Happening<T>, void, undefined>

/** What happens with each event; `onPosition` is called when it was handled. */
export interface EventHandlers<T> {
  onNews: ((news: T) => void) | undefined
  onPosition?: ((id: string) => void) | undefined
}

/** The news of a stream, one by one. */
export async function* newsOf<T>(
  source: Source<T>,
  { signal, onState }: StreamOptions,
  onPosition?: (id: string) => void,
): AsyncGenerator<T, void, undefined> {
  for await (const happening of source(signal)) {
    if (happening.kind === 'state') onState?.(happening.state)
    else {
      if (happening.news !== null) yield happening.news
      // Only here: the reader has asked for the next one, so it is done with this one.
      if (happening.id !== null) onPosition?.(happening.id)
    }
  }
}

/** Calls `onNews` for each, at once; without `onNews` the result is to be iterated. */
export function subscribeTo<T>(
  source: Source<T>,
  { onNews, onPosition }: EventHandlers<T>,
  { signal, onState, onError }: StreamHandlers,
): SubscribedIterable<T> {
  const stop = linkSignal(signal)
  const isOver = (): boolean => stop.signal.aborted
  const close = (): void => {
    stop.release()
    stop.abort()
  }
  const news = (): AsyncGenerator<T, void, undefined> => newsOf(source, { signal: stop.signal, onState }, onPosition)

  async function deliver(handle: (news: T) => void): Promise<void> {
    try {
      for await (const each of news()) {
        handle(each)
        if (isOver()) return
      }
    } catch (error) {
      if (isOver()) return
      if (!onError) throw error
      onError(error)
    } finally {
      close()
    }
  }

  async function* iterate(): AsyncGenerator<T, void, undefined> {
    if (onNews) throw new TypeError('A subscription with handlers cannot be iterated.')
    try {
      yield* news()
    } catch (error) {
      // Closed, not aborted: the iteration just ends.
      if (!isOver() || signal?.aborted) throw error
    } finally {
      close()
    }
  }

  if (onNews) void deliver(onNews)
  return { close, [Symbol.asyncIterator]: iterate }
}
