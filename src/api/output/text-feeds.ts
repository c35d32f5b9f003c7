import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../../shared/process/logger.ts'
import type { ReadBudget } from '../../shared/limits/rules/budget.ts'
import type { RelayPort } from '../../shared/replicate/relay-port.ts'

/** The text of a running prediction, as its own stream at Replicate has sent it until now. */
export interface TextFeed {
  /** Number of characters (UTF-16) until now. */
  length(): number
  /** The characters from this one on. */
  since(offset: number): string
  /** Whether the whole of it begins the text. */
  begins(text: string): boolean
  /** Ends the connection when nobody else follows it. */
  leave(): void
}

/** What is used of an account: its read budget is for the one read that finds the address of the stream. */
interface FeedSource {
  relay: Pick<RelayPort, 'streamUrl' | 'stream'>
  reads: ReadBudget
}

export interface TextFeedsOptions {
  accounts: { of(name: string): FeedSource }
  /** Pause before another connection, ms. */
  reconnectMs?: number
  log: Logger
}

interface Feed {
  pieces: string[]
  length: number
  listeners: Set<() => void>
  controller: AbortController
}

/** Connections to Replicate at once; further predictions get their output at the end. */
const MOST_FEEDS = 200
/** Characters of one text; a longer one stops here, and the rest comes at the end. */
const MAX_LENGTH = 1024 * 1024
const BUDGET_WAIT_MS = 30_000
/** Replicate closes a stream after 30 s without an event. */
const RECONNECTS = 60
/** Doubled after each failure. */
const RECONNECT_MS = 500
const MOST_FAILURES = 5

/** Another connection would not help. */
class UnfitTextError extends Error {
  override name = 'UnfitTextError'
}

/** One connection for each prediction that is followed in this process, shared by all of its readers. */
export function createTextFeeds({ accounts, log, reconnectMs = RECONNECT_MS }: TextFeedsOptions) {
  const feeds = new Map<string, Feed>()

  function append(feed: Feed, text: string): void {
    feed.pieces.push(text)
    feed.length += text.length
    for (const listener of feed.listeners) listener()
  }

  /** Each connection begins with the whole text again. Returns whether the stream is complete; throws when it is another text. */
  async function connect(feed: Feed, url: string, relay: FeedSource['relay']): Promise<boolean> {
    const known = feed.pieces.join('')
    let at = 0
    for await (const part of relay.stream(url, feed.controller.signal)) {
      if (part.kind === 'done') return true
      const expected = known.slice(at, at + part.text.length)
      if (!part.text.startsWith(expected)) throw new UnfitTextError('the stream began with another text')
      at += part.text.length
      const text = part.text.slice(expected.length)
      if (text === '') continue
      if (feed.length + text.length > MAX_LENGTH)
        throw new UnfitTextError(`a text of more than ${MAX_LENGTH} characters`)
      append(feed, text)
    }
    return false
  }

  async function run(feed: Feed, prediction: string, account: string): Promise<void> {
    const { signal } = feed.controller
    const { relay, reads } = accounts.of(account)
    await reads.of('relay').take(AbortSignal.any([signal, AbortSignal.timeout(BUDGET_WAIT_MS)]))
    const url = await relay.streamUrl(prediction)
    if (url === null) return
    let failures = 0
    for (let i = 0; i < RECONNECTS; i++) {
      try {
        if (await connect(feed, url, relay)) return
        failures = 0
      } catch (error) {
        failures += 1
        if (signal.aborted || error instanceof UnfitTextError || failures === MOST_FAILURES) throw error
      }
      await delay(reconnectMs * 2 ** failures, undefined, { signal })
    }
  }

  function open(prediction: string, account: string): Feed {
    const feed: Feed = { pieces: [], length: 0, listeners: new Set(), controller: new AbortController() }
    feeds.set(prediction, feed)
    run(feed, prediction, account).catch((error: unknown) => {
      if (!feed.controller.signal.aborted)
        log.debug({ err: error, prediction }, 'the stream of a prediction ended early; its output comes at the end')
    })
    return feed
  }

  return {
    /** null: too many are open. `changed`: called when there is more text. */
    follow(prediction: string, changed: () => void, account: string): TextFeed | null {
      const known = feeds.get(prediction)
      if (known === undefined && feeds.size >= MOST_FEEDS) return null
      const feed = known ?? open(prediction, account)
      feed.listeners.add(changed)
      return {
        length: () => feed.length,
        since(offset) {
          const found: string[] = []
          let start = feed.length
          for (let i = feed.pieces.length - 1; i >= 0 && start > offset; i--) {
            const piece = feed.pieces[i] ?? ''
            start -= piece.length
            found.push(piece)
          }
          return found
            .toReversed()
            .join('')
            .slice(Math.max(0, offset - start))
        },
        begins: (text) => text.startsWith(feed.pieces.join('')),
        leave() {
          feed.listeners.delete(changed)
          if (feed.listeners.size > 0) return
          feed.controller.abort()
          if (feeds.get(prediction) === feed) feeds.delete(prediction)
        },
      }
    },
  }
}

export type TextFeeds = ReturnType<typeof createTextFeeds>
