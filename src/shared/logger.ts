import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino'
import pretty from 'pino-pretty'

export type Logger = PinoLogger

/** Secrets that may stand inside a text: Replicate tokens, webhook secrets, our own keys, tokens in URLs. */
const SECRETS = /\b(?:r8_|whsec_|gqt?_)[A-Za-z0-9+/=_-]{8,}|([?&]token=)[A-Za-z0-9_-]+/g

const scrub = (text: string): string =>
  text.replace(SECRETS, (_match, prefix: string | undefined) => `${prefix ?? ''}[redacted]`)

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
  const readable = (): DestinationStream =>
    pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', singleLine: true })
  // Lines that come while one is being written go out together: a busy process does not wait for its log.
  const json = (): DestinationStream => pino.destination({ dest: 1, sync: false })
  return pino(settings, options.destination ?? (options.readable ? readable() : json()))
}
