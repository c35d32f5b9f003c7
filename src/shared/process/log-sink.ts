import { write, writeSync } from 'node:fs'
import { hasCode } from '../values/error-text.ts'

/** Accepts lines without blocking. */
export interface LogSink {
  write(line: string): void
  /** Writes the remaining lines, for at most this many ms. Blocks. */
  flush(withinMs: number): void
}

const AGAIN_MS = 50

/** Number of lines from the first one on that one write takes; at least one. */
function linesWithin(lines: readonly string[], most: number): number {
  let bytes = 0
  const over = lines.findIndex((line) => (bytes += Buffer.byteLength(line)) > most)
  return over === -1 ? lines.length : Math.max(1, over)
}

/**
 * Non-blocking writer of log lines to a file descriptor. Lines that arrive during a write are combined into the next one.
 * Up to `maxBytes` wait for a slow reader; further lines are counted and dropped. `onDropped` formats a line with their
 * number once there is room again.
 */
export function createLogSink(options: {
  fd: number
  maxBytes: number
  /** Limit of one write, in bytes; a longer line is one write. */
  maxWrite?: number
  onDropped: (lines: number) => string
}): LogSink {
  const { fd, maxBytes, maxWrite = Infinity, onDropped } = options
  let waiting: string[] = []
  let bytes = 0
  let dropped = 0
  /** Unwritten part of a chunk; `busy` while a write is in progress. */
  let chunk = Buffer.alloc(0)
  let busy = false
  let closed = false

  function nextChunk(): void {
    const count = bytes <= maxWrite ? waiting.length : linesWithin(waiting, maxWrite)
    chunk = Buffer.from(waiting.slice(0, count).join(''))
    waiting = waiting.slice(count)
  }

  function took(count: number): void {
    bytes -= count
    chunk = chunk.subarray(count)
    if (chunk.length > 0 || dropped === 0) return
    const line = onDropped(dropped)
    dropped = 0
    accept(line)
  }

  function accept(line: string): void {
    waiting.push(line)
    bytes += Buffer.byteLength(line)
  }

  /** Handles an error: the reader is gone, or its buffer is full. */
  function failed(error: unknown): void {
    closed ||= hasCode(error, 'EPIPE') || hasCode(error, 'EBADF')
    bytes -= chunk.length
    chunk = Buffer.alloc(0)
    if (closed) waiting = []
  }

  function pump(): void {
    if (busy || closed) return
    if (chunk.length === 0) nextChunk()
    if (chunk.length === 0) return
    busy = true
    write(fd, chunk, 0, chunk.length, null, (error, count) => {
      busy = false
      if (hasCode(error, 'EAGAIN')) return void setTimeout(pump, AGAIN_MS).unref()
      if (error) failed(error)
      else took(count)
      pump()
    })
  }

  return {
    write(line) {
      if (closed) return
      if (bytes + line.length > maxBytes) dropped += 1
      else {
        accept(line)
        pump()
      }
    },
    flush(withinMs) {
      const until = performance.now() + withinMs
      // A write is in progress, and its outcome cannot be observed any more.
      if (busy) chunk = Buffer.alloc(0)
      while (!closed) {
        if (chunk.length === 0) nextChunk()
        if (chunk.length === 0) return
        try {
          took(writeSync(fd, chunk))
        } catch (error) {
          if (!hasCode(error, 'EAGAIN')) failed(error)
          else if (performance.now() >= until) return
          else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN_MS)
        }
      }
    },
  }
}
