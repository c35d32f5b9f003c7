import type { EventHub } from '../../shared/events/event-hub.ts'
import { isFinal, type JobRecord } from '../../shared/jobs/rules/job.ts'
import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import type { Json } from '../../shared/values/json.ts'
import type { ApiRequest, ApiResponse, EventSource, Route, ServerEvent } from '../http.ts'
import { noSuch } from '../owned.ts'
import type { FrontLinks } from './front-links.ts'
import { originOf } from './origin.ts'
import { STREAMS, STREAMS_OF_FILES } from './path.ts'
import { statusOf, type PredictionView } from './prediction.ts'
import type { TextFeed, TextFeeds } from './text-feeds.ts'

export interface StreamRoutesDependencies {
  store: JobReader
  hub: Pick<EventHub, 'onJob'>
  links: Pick<FrontLinks, 'readStream'>
  view: PredictionView
  /** The whole output of a job that keeps it as a file; undefined: its record has it. */
  longOutputOf: (job: JobRecord) => Promise<Json | undefined>
  feeds: TextFeeds
  /** Counts a stream of a tenant; returns a function that ends it. Throws `too_many_streams`. */
  enter: (tenant: string) => () => void
  log: Logger
}

/** Interval of reads without an event, because one can be lost, ms. */
const LOOK_MS = 15_000
/** The same after a read that failed. */
const LOOK_AGAIN_MS = 1_000

const RESTARTED =
  'The prediction was restarted, and its output began again. Read the output when the prediction is over.'

/** Which part of an output the client has: characters of a text, or items of any other output, of the attempt. */
interface Position {
  attempt: number
  at: number
}

function positionOf({ headers }: Pick<ApiRequest, 'headers'>): Position {
  const [, attempt = 0, at = 0] = /^(\d{1,9}):(\d{1,9})$/.exec(headers['last-event-id'] ?? '') ?? []
  return { attempt: Number(attempt), at: Number(at) }
}

/** Replicate's streams of predictions: `output`, `error` and `done`. The address needs no credentials. */
export function streamRoutes(dependencies: StreamRoutesDependencies): Route[] {
  const { store, hub, links, view, longOutputOf, feeds, enter, log } = dependencies

  async function open(request: ApiRequest): Promise<ApiResponse> {
    const id = await links.readStream(request.params['token'] ?? '')
    const job = id === null ? null : await store.read(id)
    if (job === null) throw noSuch('job')
    return { events: eventsOf(job, { origin: originOf(request), position: positionOf(request) }, enter(job.tenant)) }
  }

  const eventsOf =
    ({ id }: JobRecord, asked: { origin: string; position: Position }, leave: () => void): EventSource =>
    (send, end) => {
      const reader = createReader(asked, send)
      let isGone = false
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
          } catch (error) {
            // The official client takes the end of a stream for the end of its prediction.
            log.debug({ err: error, job: id }, 'a prediction could not be read for its stream; it will be read again')
            nextLook = LOOK_AGAIN_MS
          }
          const timer = setTimeout(() => {
            isChanged = true
            wake()
          }, nextLook)
          await woken
          clearTimeout(timer)
        }
      }
      void run().finally(end)
      return () => {
        isGone = true
        stopListening()
        reader.leave()
        leave()
        wake()
      }
    }

  function createReader(
    { origin, position }: { origin: string; position: Position },
    send: (event: ServerEvent) => Promise<void>,
  ) {
    let { attempt, at } = position
    let feed: { of: string; text: TextFeed } | null = null
    const event = (name: string, data: ServerEvent['data']): Promise<void> =>
      send({ id: `${attempt}:${at}`, event: name, data })

    async function output(text: string, to: number): Promise<void> {
      at = to
      await event('output', text)
    }

    async function fail(detail: string): Promise<void> {
      await event('error', { detail })
      await event('done', { reason: 'error' })
    }

    function leave(): void {
      feed?.text.leave()
      feed = null
    }

    /** Sends what the prediction has written. */
    async function more(): Promise<void> {
      const text = feed?.text
      if (text !== undefined && text.length() > at) await output(text.since(at), text.length())
    }

    async function finish(job: JobRecord): Promise<void> {
      const shown = view(job, { origin, logs: '', longOutput: await longOutputOf(job) })
      const status = statusOf(job)
      if (status === 'canceled') return event('done', { reason: 'canceled' })
      if (status === 'failed') return fail(shown.error ?? '')
      if (job.output_shape === 'text') {
        const [first] = Array.isArray(shown.output) ? shown.output : []
        const text = typeof first === 'string' ? asEventsHave(first) : ''
        if (at > text.length || feed?.text.begins(text) === false) return fail(RESTARTED)
        if (text.length > at) await output(text.slice(at), text.length)
      } else {
        const items = itemsOf(shown.output)
        for (const item of items.slice(at)) await output(item, at + 1)
      }
      await event('done', {})
    }

    return {
      leave,
      more,
      /** Follows the job in its new state; returns whether that was the end. */
      async look(job: JobRecord, changed: () => void): Promise<boolean> {
        if (at > 0 && attempt !== job.attempt) {
          await fail(RESTARTED)
          return true
        }
        attempt = job.attempt
        if (isFinal(job.phase)) {
          await finish(job)
          return true
        }
        const { prediction_id: prediction, output_shape, phase } = job
        const isRunning = phase === 'created' || phase === 'running'
        if (isRunning && prediction !== null && output_shape === 'text' && feed?.of !== prediction) {
          leave()
          const text = feeds.follow(prediction, changed)
          feed = text && { of: prediction, text }
        }
        await more()
        return false
      },
    }
  }

  return [STREAMS, STREAMS_OF_FILES].map((path) => ({
    method: 'GET',
    path: `${path}/:token`,
    scope: null,
    handle: open,
  }))
}

/** The events of an output that is no text: each file or text of a list, or its JSON. */
function itemsOf(output: Json): string[] {
  if (output === null) return []
  return (Array.isArray(output) ? output : [output]).map((item) =>
    typeof item === 'string' ? item : JSON.stringify(item),
  )
}

/** A text as it arrives in events, which know one kind of line break: positions count its characters. */
const asEventsHave = (text: string): string => text.replaceAll(/\r\n?/g, '\n')
