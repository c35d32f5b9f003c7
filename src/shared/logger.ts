import { format } from 'node:util'
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino'
import pretty from 'pino-pretty'
import { createLogSink, type LogSink } from './log-sink.ts'
import { visibleInside } from './visible.ts'

export type Logger = PinoLogger

/** Secrets that may stand inside a text: Replicate tokens, webhook secrets, our own keys, tokens in URLs. */
const SECRETS = /\b(?:r8_|whsec_|gqt?_)[A-Za-z0-9+/=_-]{8,}|([?&]token=)[A-Za-z0-9_-]+/g

const scrub = (text: string): string =>
  text.replace(SECRETS, (_match, prefix: string | undefined) => `${prefix ?? ''}[redacted]`)

const MAX_WAITING_BYTES = 8 * 1024 * 1024
const LAST_WORDS_MS = 1_000

/** An error may hold what a model said, and readable lines go to a terminal. */
const withVisibleTexts = (destination: DestinationStream): DestinationStream => ({
  write: (line) => destination.write(visibleInside(line)),
})

let output: LogSink | undefined

/** Standard output, which may be a pipe that nobody reads: neither the work nor its end waits for it. */
function standardOutput(): LogSink {
  if (output) return output
  const sink = createLogSink({
    // Asked for in this way, a pipe is one that answers at once when it is full.
    fd: process.stdout.fd,
    maxBytes: MAX_WAITING_BYTES,
    onDropped: (lines) =>
      `${JSON.stringify({ level: pino.levels.values['warn'], time: Date.now(), lines, msg: 'lines of the log were dropped: nobody took them' })}\n`,
  })
  process.once('exit', () => sink.flush(LAST_WORDS_MS))
  return (output = sink)
}

/**
 * What libraries write by `console` and what Node warns of become lines of the log: whoever reads standard output reads JSON.
 * For a whole process, once.
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
 * JSON lines, or readable ones on a terminal. Bodies, prompts and keys are never logged; should a secret get into an
 * error's text, it is cut out.
 */
export function createLogger(options: { level: string; readable: boolean; destination?: DestinationStream }): Logger {
  const settings = {
    level: options.level,
    base: null,
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
        ignore: 'pid,hostname',
        singleLine: true,
        ...(destination === undefined ? {} : { destination }),
      }),
    )
  return pino(settings, options.readable ? readable() : (destination ?? standardOutput()))
}
