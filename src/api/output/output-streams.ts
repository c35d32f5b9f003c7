import type { EventHub } from '../../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import type { LongOutputOf } from './long-output.ts'
import type { TextFeed, TextFeeds } from './text-feeds.ts'

export interface OutputStreamsOptions {
  store: JobReader
  hub: Pick<EventHub, 'onJob'>
  longOutputOf: LongOutputOf
  feeds: TextFeeds
  log: Logger
}

/**
 * The part of an output that a reader has: characters (UTF-16) of the text of this attempt. A form of the stream may count
 * something else for an output that is no text.
 */
export interface OutputPosition {
  readonly attempt: number
  readonly at: number
}

/** A form of the stream: how it writes what happens. A writer waits until its reader has taken what it wrote. */
export interface OutputWriter {
  /** The job, each time it was read before its end. */
  state?(job: JobRecord, position: OutputPosition): Promise<void>
  /** A piece of the text; the position is its end. */
  text(piece: string, position: OutputPosition): Promise<void>
  /** The text of which the reader has a part began again. Returns whether it follows from its beginning; else it is over. */
  restarted(position: OutputPosition): Promise<boolean>
  /** The job is final, and its whole text was written. */
  end(job: JobRecord, position: OutputPosition): Promise<void>
  /** The job cannot be read for some time. Without it, reading is repeated until it succeeds. */
  lost?(): void
}

/** Interval of reads without an event, because one can be lost, ms. */
const LOOK_MS = 15_000
/** The same after a read that failed, and the number of failures in a row after which a job is lost. */
const LOOK_AGAIN_MS = 1_000
const MOST_FAILURES = 5

/** Limit of one piece of a text, characters. */
const MAX_PIECE = 64 * 1024

/**
 * Follows the output of a job for one reader, from the position that the reader has. A text comes as it is written, from the
 * stream of its prediction; where there is none, or it broke, from the growing text of the record. Its rest comes at the end.
 */
export function createOutputStreams({ store, hub, longOutputOf, feeds, log }: OutputStreamsOptions) {
  function createReader(begin: OutputPosition, writer: OutputWriter) {
    let { attempt, at } = begin
    let feed: { of: string; text: TextFeed } | null = null
    /** The growing text of the record. */
    let partial = ''

    async function text(whole: string): Promise<void> {
      while (at < whole.length) {
        const next = pieceEnd(whole, at)
        const piece = whole.slice(at, next)
        at = next
        await writer.text(piece, { attempt, at })
      }
    }

    function leave(): void {
      feed?.text.leave()
      feed = null
    }

    /** Writes what the prediction has written. */
    async function more(): Promise<void> {
      const written = feed?.text
      if (written === undefined || written.length() <= at) return
      const piece = written.since(at)
      at += piece.length
      await writer.text(piece, { attempt, at })
    }

    /** Returns whether the text follows from its beginning. */
    async function restart(job: JobRecord): Promise<boolean> {
      attempt = job.attempt
      at = 0
      partial = ''
      leave()
      return writer.restarted({ attempt, at })
    }

    /** Returns false when the stream is over already. */
    async function rest(job: JobRecord): Promise<boolean> {
      if (job.status !== 'succeeded' || job.output_shape !== 'text') return true
      const output = (await longOutputOf(job)) ?? job.output
      if (typeof output !== 'string') return true
      const whole = asEventsHave(output)
      const isContinued = at <= whole.length && feed?.text.begins(whole) !== false && whole.startsWith(partial)
      if (!isContinued && !(await restart(job))) return false
      await text(whole)
      return true
    }

    function follow({ account, prediction_id: prediction, output_shape, phase }: JobRecord, changed: () => void): void {
      const isRunning = phase === 'created' || phase === 'running'
      if (!isRunning || prediction === null || output_shape !== 'text' || feed?.of === prediction) return
      leave()
      const found = feeds.follow(prediction, changed, account)
      feed = found && { of: prediction, text: found }
    }

    return {
      leave,
      more,
      /** Follows the job in its new state; returns whether that was the end. */
      async look(job: JobRecord, changed: () => void): Promise<boolean> {
        if (at > 0 && attempt !== job.attempt && !(await restart(job))) return true
        if (attempt !== job.attempt) {
          attempt = job.attempt
          partial = ''
          leave()
        }
        if (isFinal(job.phase)) {
          if (await rest(job)) await writer.end(job, { attempt, at })
          return true
        }
        await writer.state?.(job, { attempt, at })
        follow(job, changed)
        await more()
        if (job.phase === 'running' && job.output_shape === 'text' && job.partial !== null) {
          // The next character may be the second half of a line break.
          partial = asEventsHave(job.partial.replace(/\r$/, ''))
          await text(partial)
        }
        return false
      },
    }
  }

  return {
    /** Begins to follow; `over` is called when nothing follows. Returns a function that stops it. */
    follow(id: string, position: OutputPosition, writer: OutputWriter, over: () => void): () => void {
      const reader = createReader(position, writer)
      let isGone = false
      let failures = 0
      let wake = (): void => undefined
      /** The record has changed, and not only the text of its prediction. */
      let isChanged = true
      const stopListening = hub.onJob(id, () => {
        isChanged = true
        wake()
      })
      async function run(): Promise<void> {
        while (!isGone) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve
          })
          let nextLook = LOOK_MS
          try {
            if (isChanged) {
              isChanged = false
              const job = await store.read(id)
              if (job === null || isGone || (await reader.look(job, () => wake()))) return
            } else await reader.more()
            failures = 0
          } catch (error) {
            // The official client takes the end of a stream for the end of its prediction.
            log.debug(
              { err: error, job: id },
              'a job could not be read for the stream of its output; it will be read again',
            )
            nextLook = LOOK_AGAIN_MS
            if (++failures === MOST_FAILURES && writer.lost) return writer.lost()
          }
          const timer = setTimeout(() => {
            isChanged = true
            wake()
          }, nextLook)
          await woken
          clearTimeout(timer)
        }
      }
      void run().finally(over)
      return () => {
        isGone = true
        stopListening()
        reader.leave()
        wake()
      }
    },
  }
}

export type OutputStreams = ReturnType<typeof createOutputStreams>

/** A text as it arrives in events, which know one kind of line break: positions count its characters. */
const asEventsHave = (text: string): string => text.replaceAll(/\r\n?/g, '\n')

/** The end of the piece that begins here. It does not split a surrogate pair. */
function pieceEnd(text: string, from: number): number {
  const end = from + MAX_PIECE
  if (end >= text.length) return text.length
  return /[\uD800-\uDBFF]/.test(text.charAt(end - 1)) ? end - 1 : end
}
