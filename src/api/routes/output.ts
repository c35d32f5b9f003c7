import type { Job } from '../description/jobs.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { JobRecord } from '../../shared/jobs/rules/job.ts'
import type { JobReader } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import { spread } from '../../shared/values/spread.ts'
import { endUnavailable, type EventStreams } from '../event-streams.ts'
import type { ApiResponse, EventSource, OwnedRequest, Route } from '../http.ts'
import type { ModelLogs } from '../model-logs.ts'
import { createLogTail } from '../output/log-tail.ts'
import type { OutputPosition, OutputStreams, OutputWriter } from '../output/output-streams.ts'
import { createOwnedJob } from '../owned.ts'
import { fieldsOf, outputQuerySchema, OUTPUT_POSITION, parseWith, queryObject } from '../schemas.ts'

export interface OutputRoutesDependencies {
  store: JobReader
  streams: Pick<EventStreams, 'enter' | 'requireHeard' | 'whileHeard'>
  outputs: OutputStreams
  logsOf: ModelLogs
  show: (job: JobRecord) => Promise<Job>
  log: Logger
}

/** Interval between two reads of logs, ms: each counts against the account's budget, once for all readers. */
const LOGS_MS = 4_000

type Send = Parameters<EventSource>[0]

const idOf = ({ attempt, at }: OutputPosition): string => `${attempt}:${at}`

/** The output of a job while it is written: its text, and on request its states and the end of its logs. */
export function outputRoutes(dependencies: OutputRoutesDependencies): Route[] {
  const { store, streams, outputs, logsOf, show, log } = dependencies
  const owned = createOwnedJob(store)

  async function open(request: OwnedRequest): Promise<ApiResponse> {
    const position = positionOf(request)
    const { include = '' } = parseWith(outputQuerySchema, queryObject(request.query))
    const parts = new Set(include.split(','))
    if (parts.has('logs') && request.principal.only !== null)
      throw new ServiceError('forbidden', 'A job token cannot read logs. Request them with an API key.')
    const { id } = await owned(request)
    streams.requireHeard()
    const leave = streams.enter(request.principal.tenant)
    const source: EventSource = (send, end) => {
      const logs = parts.has('logs') ? followLogs(send) : null
      const writer = writerOf({ send, end, logs, withStates: parts.has('job') })
      const stop = outputs.follow(id, position, writer, end)
      return () => {
        stop()
        logs?.stop()
        leave()
      }
    }
    return { events: streams.whileHeard(source) }
  }

  function writerOf({
    send,
    end,
    logs,
    withStates,
  }: {
    send: Send
    end: () => void
    logs: LogFollower | null
    withStates: boolean
  }): OutputWriter {
    let seen = ''
    return {
      async state(job, position) {
        logs?.follow(job)
        if (!withStates) return
        // A text is sent as such.
        const grown = job.output_shape === 'text' ? '' : (job.partial?.length ?? '')
        const mark = `${job.rev}:${job.progress ?? ''}:${grown}`
        if (mark !== seen) await send({ id: idOf(position), event: 'job', data: await show(job) })
        seen = mark
      },
      text: (text, position) => send({ id: idOf(position), event: 'output', data: { text } }),
      async restarted(position) {
        await send({ id: idOf(position), event: 'reset', data: {} })
        return true
      },
      async end(job, position) {
        await logs?.last(job)
        await send({ id: idOf(position), event: 'done', data: await show(job) })
      },
      lost: () => endUnavailable(send, end),
    }
  }

  /** Sends what is added to the logs of the job, which may be none. */
  function followLogs(send: Send) {
    const tail = createLogTail()
    let job: JobRecord | null = null
    let reading: Promise<void> | null = null
    async function read(now: JobRecord): Promise<void> {
      try {
        const piece = tail(await logsOf(now))
        if (piece) await send({ id: '', event: 'logs', data: piece })
      } catch (error) {
        log.debug({ err: error, job: now.id }, 'logs could not be read; they will be read again')
      }
    }
    function look(): void {
      if (job === null || reading !== null) return
      reading = read(job).finally(() => (reading = null))
    }
    const timer = setInterval(look, spread(LOGS_MS))
    return {
      follow(now: JobRecord): void {
        const isFirst = job?.prediction_id !== now.prediction_id
        job = now.prediction_id === null ? null : now
        if (isFirst) look()
      },
      /** The last lines, of a job that is final. */
      async last(now: JobRecord): Promise<void> {
        clearInterval(timer)
        await reading
        if (now.prediction_id !== null) await read(now)
      },
      stop: (): void => clearInterval(timer),
    }
  }
  type LogFollower = ReturnType<typeof followLogs>

  return [
    {
      method: 'GET',
      path: '/v1/jobs/:id/output',
      query: fieldsOf(outputQuerySchema),
      scope: 'jobs:read',
      tokenOpens: true,
      handle: open,
    },
  ]
}

/** Throws for text that is no position. */
function positionOf({ headers }: OwnedRequest): OutputPosition {
  const last = headers['last-event-id']
  if (last === undefined) return { attempt: 0, at: 0 }
  const match = OUTPUT_POSITION.exec(last)
  if (!match) throw new ServiceError('invalid_header', 'Last-Event-ID is not an id of this stream.')
  return { attempt: Number(match[1]), at: Number(match[2]) }
}
