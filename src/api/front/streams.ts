import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Json } from '../../shared/values/json.ts'
import type { ApiRequest, ApiResponse, EventSource, Route, ServerEvent } from '../http.ts'
import type { LongOutputOf } from '../output/long-output.ts'
import type { OutputPosition, OutputStreams, OutputWriter } from '../output/output-streams.ts'
import { noSuch } from '../owned.ts'
import type { FrontLinks } from './front-links.ts'
import { originOf } from './origin.ts'
import { STREAMS, STREAMS_OF_FILES } from './path.ts'
import { statusOf, type PredictionView } from './prediction.ts'

export interface StreamRoutesDependencies {
  store: JobReader
  links: Pick<FrontLinks, 'readStream'>
  view: PredictionView
  longOutputOf: LongOutputOf
  outputs: OutputStreams
  /** Counts a stream of a tenant; returns a function that ends it. Throws `too_many_streams`. */
  enter: (tenant: string) => () => void
}

const RESTARTED =
  'The prediction was restarted, and its output began again. Read the output when the prediction is over.'

/** Of an output that is no text, the position counts items. */
function positionOf({ headers }: Pick<ApiRequest, 'headers'>): OutputPosition {
  const [, attempt = 0, at = 0] = /^(\d{1,9}):(\d{1,9})$/.exec(headers['last-event-id'] ?? '') ?? []
  return { attempt: Number(attempt), at: Number(at) }
}

/** Replicate's streams of predictions: `output`, `error` and `done`. The address needs no credentials. */
export function streamRoutes(dependencies: StreamRoutesDependencies): Route[] {
  const { store, links, view, longOutputOf, outputs, enter } = dependencies

  async function open(request: ApiRequest): Promise<ApiResponse> {
    const id = await links.readStream(request.params['token'] ?? '')
    const job = id === null ? null : await store.read(id)
    if (job === null) throw noSuch('job')
    const leave = enter(job.tenant)
    const origin = originOf(request)
    const events: EventSource = (send, end) => {
      const stop = outputs.follow(job.id, positionOf(request), writerOf(origin, send), end)
      return () => {
        stop()
        leave()
      }
    }
    return { events }
  }

  function writerOf(origin: string, send: (event: ServerEvent) => Promise<void>): OutputWriter {
    const event = (name: string, data: ServerEvent['data'], { attempt, at }: OutputPosition): Promise<void> =>
      send({ id: `${attempt}:${at}`, event: name, data })

    async function fail(detail: string, position: OutputPosition): Promise<void> {
      await event('error', { detail }, position)
      await event('done', { reason: 'error' }, position)
    }

    async function items(output: Json, { attempt, at }: OutputPosition): Promise<OutputPosition> {
      let sent = at
      for (const item of itemsOf(output).slice(at)) await event('output', item, { attempt, at: ++sent })
      return { attempt, at: sent }
    }

    return {
      text: (piece, position) => event('output', piece, position),
      async restarted(position) {
        await fail(RESTARTED, position)
        return false
      },
      async end(job: JobRecord, position) {
        const status = statusOf(job)
        if (status === 'canceled') return event('done', { reason: 'canceled' }, position)
        const isText = job.output_shape === 'text'
        const longOutput = isText ? undefined : await longOutputOf(job)
        const shown = view(job, { origin, logs: '', longOutput })
        if (status === 'failed') return fail(shown.error ?? '', position)
        await event('done', {}, isText ? position : await items(shown.output, position))
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
