import { JobFailedError, NetworkError, OutputRestartedError } from './errors.ts'
import type { StreamEvent } from './event-stream.ts'
import type { KnownLogs, OutputOptions, OutputStream, StreamableJob } from './options.ts'
import { newsOf, type Source } from './subscription.ts'
import type { Job, LogPiece } from './types.ts'

type News =
  | { type: 'output'; text: string }
  | { type: 'reset' }
  | { type: 'job' | 'done'; job: Job }
  | { type: 'logs'; piece: LogPiece }

export interface OutputSource {
  /** Address of the service, for errors. */
  base: string
  /** The stream of this path. */
  source: (path: string, read: (event: StreamEvent) => News | null, isLast: (news: News) => boolean) => Source<News>
  job: (job: Job) => Job
}

/** Streams of outputs. A lost connection continues after the last character that arrived. */
export function createOutputs({ base, source, job }: OutputSource) {
  function newsIn({ type, data }: StreamEvent): News | null {
    switch (type) {
      case 'output': {
        const { text }: { text: string } = JSON.parse(data)
        return { type, text }
      }
      case 'logs':
        return { type, piece: JSON.parse(data) }
      case 'reset':
        return { type }
      case 'job':
      case 'done':
        return { type, job: job(JSON.parse(data)) }
      default:
        return null
    }
  }

  async function* streamOutput(
    path: string,
    { onRestart, onJob, onLogs, ...options }: OutputOptions = {},
  ): OutputStream {
    const include = [...(onJob ? ['job'] : []), ...(onLogs ? ['logs'] : [])].join(',')
    const address = `${path}/output${include === '' ? '' : `?include=${encodeURIComponent(include)}`}`
    let logs: KnownLogs = { text: '', truncated: false }
    for await (const news of newsOf(source(address, newsIn, isDone), options)) {
      switch (news.type) {
        case 'output':
          yield news.text
          break
        case 'reset':
          if (!onRestart) throw new OutputRestartedError()
          onRestart()
          break
        case 'logs':
          logs = news.piece.replace ? news.piece : { ...logs, text: logs.text + news.piece.text }
          onLogs?.({ text: logs.text, truncated: logs.truncated })
          break
        case 'job':
          onJob?.(news.job)
          break
        case 'done':
          onJob?.(news.job)
          if (news.job.status !== 'succeeded') throw new JobFailedError(news.job)
          return news.job
      }
    }
    throw new NetworkError(new Error('The stream ended before the job.'), base)
  }

  return {
    streamOutput,
    /** The job with its `stream`, which its JSON does not show. */
    streamable: (path: string, data: Job): StreamableJob => {
      const stream = (options?: OutputOptions): OutputStream => streamOutput(path, options)
      const made: StreamableJob = Object.assign(data, { stream })
      Object.defineProperty(made, 'stream', { enumerable: false })
      return made
    },
  }
}

const isDone = ({ type }: News): boolean => type === 'done'
