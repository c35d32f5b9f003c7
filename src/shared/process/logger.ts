import { format } from 'node:util'
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino'
import pretty from 'pino-pretty'
import { createLogSink, type LogSink } from './log-sink.ts'
import { visibleInside } from '../values/visible.ts'

export type Logger = PinoLogger

/** Secrets within texts: Replicate tokens, webhook secrets, API keys, tokens in URLs. */
const SECRETS = /\b(?:r8_|whsec_|gqt?_)[A-Za-z0-9+/=_-]{8,}|([?&]token=)[A-Za-z0-9_-]+/g

const scrub = (text: string): string =>
  text.replace(SECRETS, (_match, prefix: string | undefined) => `${prefix ?? ''}[redacted]`)

const MAX_WAITING_BYTES = 8 * 1024 * 1024
const LAST_WORDS_MS = 1_000

/** Makes control characters visible: errors can contain a model's text, and readable lines go to a terminal. */
const withVisibleTexts = (destination: DestinationStream): DestinationStream => ({
  write: (line) => destination.write(visibleInside(line)),
})

/** Bytes that a pipe takes as a whole or not at all, so that lines of several processes do not mix. */
const PIPE_BUF = 4096

let output: LogSink | undefined

/** Standard output. It can be a pipe without a reader, so neither the work nor the shutdown waits for it. */
function standardOutput(isShared: boolean): LogSink {
  if (output) return output
  const sink = createLogSink({
    ...(isShared ? { maxWrite: PIPE_BUF } : {}),
    // Accessing `process.stdout` makes a pipe non-blocking: a write to a full one returns at once.
    fd: process.stdout.fd,
    maxBytes: MAX_WAITING_BYTES,
    onDropped: (lines) =>
      `${JSON.stringify({ level: pino.levels.values['warn'], time: Date.now(), lines, msg: 'log lines were dropped because standard output is not read' })}\n`,
  })
  process.once('exit', () => sink.flush(LAST_WORDS_MS))
  return (output = sink)
}

/**
 * Redirects `console` output of libraries and Node's warnings to the log, so that standard output contains only JSON. Call
 * once per process.
 */
export function captureConsole(log: Logger): void {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (...words: unknown[]): void =>
      log[level]({ source: 'console' }, scrub(format(...words)))
  const { warn, error } = { warn: write('warn'), error: write('error') }
  Object.assign(console, { debug: write('debug'), log: write('info'), info: write('info'), warn, error })
  process.removeAllListeners('warning')
  process.on('warning', (warning) => log.warn({ err: warning, source: 'node' }, scrub(warning.message)))
}

/**
 * Logger with JSON lines, or readable ones on a terminal. Bodies, prompts and keys are never logged; secrets in error
 * texts are removed. `isShared`: several processes write to this standard output, so each line names its process.
 */
export function createLogger(options: {
  level: string
  readable: boolean
  isShared?: boolean
  destination?: DestinationStream
}): Logger {
  const { isShared = false } = options
  const settings = {
    level: options.level,
    base: isShared ? { pid: process.pid } : null,
    redact: {
      paths: [
        ...['authorization', 'cookie', 'input', 'token', 'secret', 'password'].flatMap((name) => [name, `*.${name}`]),
        '*.webhook',
        '*.key',
      ],
      censor: '[redacted]',
    },
    serializers: {
      err: (error: unknown) =>
        error instanceof Error
          ? {
              type: error.name,
              message: scrub(error.message),
              stack: scrub(error.stack ?? ''),
              ...(error.cause instanceof Error ? { cause: scrub(`${error.cause.name}: ${error.cause.message}`) } : {}),
            }
          : scrub(String(error)),
    },
  }
  const { destination } = options
  const readable = (): DestinationStream =>
    withVisibleTexts(
      pretty({
        colorize: true,
        translateTime: 'SYS:HH:MM:ss.l',
        ignore: isShared ? 'hostname' : 'pid,hostname',
        singleLine: true,
        ...(destination === undefined ? {} : { destination }),
      }),
    )
  return pino(settings, options.readable ? readable() : (destination ?? standardOutput(isShared)))
}
