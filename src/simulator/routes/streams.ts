import { Readable } from 'node:stream'
import { notFound } from '../http/problem.ts'
import type { Handler } from '../http/router.ts'
import { predictionOfToken } from '../identifiers.ts'
import { fileUrlsOf } from '../prediction-view.ts'
import { streamOf } from '../run-stream.ts'
import { pause, statusReply } from './guards.ts'
import type { Services } from './services.ts'
import { viewContextOf } from './show-prediction.ts'

/** The stream token in a path, or null. Such a URL needs no other credentials. */
export const streamedBy = ({ book }: Services, token: string): string | null =>
  predictionOfToken(book.identity.privateKey, 'stream', token)

/** `urls.stream`: a run's output as server-sent events. `Last-Event-ID` resumes after that event. */
export function getStream(services: Services): Handler {
  const { book, faults, habits, lifeCycle } = services
  return async ({ params, headers, origin }) => {
    const prediction = book.find(streamedBy(services, params['id'] ?? '') ?? '')
    if (prediction === undefined || prediction.removed) return notFound()
    const delay = faults.strike('streams', 'delay')
    if (delay !== null) await pause(services, delay.seconds)
    const status = faults.strike('streams', 'status')
    if (status !== null) return statusReply(status)
    await services.files.prepare(prediction)
    const events = streamOf({
      prediction,
      model: services.catalogue.ofPrediction(prediction),
      fileUrl: fileUrlsOf(prediction, viewContextOf(services, prediction, origin)),
      now: () => services.clock.now(),
      after: Number(/:(\d+)$/.exec(String(headers['last-event-id'] ?? ''))?.[1] ?? -1),
      waitForEnd: (ms) => lifeCycle.waitForEnd(prediction, ms),
      isGone: () => services.stopping.aborted || book.find(prediction.id) !== prediction,
      withLogs: habits.current.stream_logs,
      timeoutMs: habits.current.stream_timeout_seconds * 1000,
    })
    const isCut = faults.strike('streams', 'cut') !== null
    return {
      kind: 'bytes',
      status: 200,
      body: Readable.from(isCut ? cutAfterTheFirst(events) : events),
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'access-control-allow-origin': '*',
      },
    }
  }
}

async function* cutAfterTheFirst(events: AsyncGenerator<string>): AsyncGenerator<string> {
  const first = await events.next()
  if (first.done !== true) yield first.value
  throw new Error('cut by a fault')
}
