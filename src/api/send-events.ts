import type { Response } from 'express'
import type { EventSource, ServerEvent } from './http.ts'

const HEARTBEAT_MS = 15_000
/** A reader that takes nothing for so long is dropped: it comes back and catches up. */
const STALLED_MS = 60_000

/** Data that many streams send is written as JSON once. */
const written = new WeakMap<object, string>()
function jsonOf(data: object): string {
  const text = written.get(data) ?? JSON.stringify(data)
  written.set(data, text)
  return text
}

/** JSON has no line breaks, and ids and names are ours: nothing a customer wrote can end a line early. */
const format = ({ id, event, data }: ServerEvent): string =>
  `${id ? `id: ${id}\n` : ''}event: ${event}\ndata: ${jsonOf(data)}\n\n`

/**
 * Writes a server-sent event stream until it ends or the reader leaves. A source waits until what it sent was taken, so
 * a slow reader costs the memory of one event.
 */
export function sendEvents(response: Response, source: EventSource): void {
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  let stop = (): void => undefined
  let over = false
  let stalledSince = 0
  const waiting: (() => void)[] = []
  const resume = (): void => {
    for (const go of waiting.splice(0)) go()
  }
  const end = (): void => {
    if (over) return
    over = true
    clearInterval(heartbeat)
    stop()
    resume()
    // A reader that has left takes nothing more.
    if (response.destroyed) return
    response.end()
    // The rest may lie before a reader that takes nothing.
    const drop = setTimeout(() => response.destroy(), STALLED_MS)
    drop.unref()
    response.on('close', () => clearTimeout(drop))
  }
  const write = (text: string): Promise<void> => {
    if (over || response.write(text)) return Promise.resolve()
    if (waiting.length === 0) stalledSince = Date.now()
    return new Promise((go) => waiting.push(go))
  }
  const heartbeat = setInterval(() => {
    if (waiting.length === 0) void write(': alive\n\n')
    else if (Date.now() - stalledSince >= STALLED_MS) response.destroy()
  }, HEARTBEAT_MS)
  response.on('drain', resume)
  response.on('close', end)
  void write('retry: 1000\n\n')
  stop = source((event) => write(format(event)), end)
  if (over) stop()
  // A reader may have left while the stream was being prepared: its `close` is over then.
  else if (response.destroyed || response.req.method === 'HEAD') end()
}
