import type { Response } from 'express'
import { spread } from '../shared/values/spread.ts'
import type { EventSource, ServerEvent } from './http.ts'

/** Longest interval of heartbeats. */
const HEARTBEAT_MS = 15_000
/** Time after which a stalled reader is disconnected, ms; it reconnects and catches up. */
const STALLED_MS = 60_000

/** Caches the JSON of data that many streams send. */
const written = new WeakMap<object, string>()
function jsonOf(data: object): string {
  const text = written.get(data) ?? JSON.stringify(data)
  written.set(data, text)
  return text
}

/** JSON has no line breaks, and each line of a text is a field. */
const linesOf = (data: object | string): string =>
  (typeof data === 'string' ? data.split(/\r\n|\r|\n/) : [jsonOf(data)]).map((line) => `data: ${line}\n`).join('')

/** Formats an event. Ids and names are ours, so user data cannot end a line early. */
const format = ({ id, event, data }: ServerEvent): string =>
  `${id ? `id: ${id}\n` : ''}event: ${event}\n${linesOf(data)}\n`

/**
 * Writes a server-sent event stream until it ends or the reader disconnects. A source waits until its event was taken
 * (backpressure), so a slow reader costs the memory of one event.
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
    // The reader has disconnected.
    if (response.destroyed) return
    response.end()
    // The reader may be stalled with unread data.
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
  }, spread(HEARTBEAT_MS))
  response.on('drain', resume)
  response.on('close', end)
  void write('retry: 1000\n\n')
  stop = source((event) => write(format(event)), end)
  if (over) stop()
  // The reader can have disconnected during preparation, after which `close` is not emitted again.
  else if (response.destroyed || response.req.method === 'HEAD') end()
}
