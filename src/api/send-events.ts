import type { Response } from 'express'
import type { EventSource, ServerEvent } from './http.ts'

const HEARTBEAT_MS = 15_000
/** A reader that is this far behind is dropped; it comes back and catches up. */
const MAX_BUFFERED = 1024 * 1024

/** JSON has no line breaks, and ids and names are ours: nothing a customer wrote can end a line early. */
const format = ({ id, event, data }: ServerEvent): string =>
  `${id ? `id: ${id}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** Writes a server-sent event stream until it ends or the reader leaves. */
export function sendEvents(response: Response, source: EventSource): void {
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  let stop = (): void => undefined
  let over = false
  const end = (): void => {
    if (over) return
    over = true
    clearInterval(heartbeat)
    stop()
    response.end()
  }
  const write = (text: string): void => {
    if (over) return
    if (response.writableLength > MAX_BUFFERED) {
      end()
      response.destroy()
      return
    }
    response.write(text)
  }
  const heartbeat = setInterval(() => write(': alive\n\n'), HEARTBEAT_MS)
  response.on('close', end)
  write('retry: 1000\n\n')
  stop = source((event) => write(format(event)), end)
  if (over) stop()
  // A reader may have left while the stream was being prepared: its `close` is over then.
  else if (response.destroyed || response.req.method === 'HEAD') end()
}
