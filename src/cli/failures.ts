import { ApiError, NetworkError } from '../client/client.ts'
import { ChecksumError } from '../client/node.ts'
import { messageOf } from '../shared/values/error-text.ts'

/** The exit codes of `genqueue`, as docs/cli.md lists them. */
export const EXIT = {
  ok: 0,
  /** The job or batch did not succeed; an audit or a verification found something. */
  failed: 1,
  /** The command, a file or the configuration is wrong. */
  usage: 2,
  /** The service, or Redis, does not respond. */
  unreachable: 3,
  /** The service refused, or the operation is not possible. */
  refused: 4,
  /** An audit found nothing, but could not check everything. */
  incomplete: 5,
  /** The doctor found nothing that fails, and something that could be better. */
  warnings: 6,
  /** Ctrl-C: 128 + SIGINT */
  interrupted: 130,
} as const

/** Invalid arguments, or an invalid file that they name. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Ctrl-C; submitted jobs continue. */
export class Interrupted extends Error {
  override name = 'Interrupted'
}

/** Redis, or another dependency of an operator's command, does not respond. */
export class UnreachableError extends Error {
  override name = 'UnreachableError'
}

/** An operator's command is not possible. */
export class RefusedError extends Error {
  override name = 'RefusedError'
  readonly code: string
  readonly errors: Failure['errors']
  constructor(code: string, message: string, errors: Failure['errors'] = []) {
    super(message)
    this.code = code
    this.errors = errors
  }
}

export interface Failure {
  exit: number
  /** Stable, snake_case. */
  code: string
  message: string
  errors: { pointer: string; detail: string }[]
}

const REACH = 'Check that the service is running, and that GENQUEUE_URL or --url names it.'

/** Maps an error to an exit code and a message. */
export function failureOf(error: unknown): Failure {
  const message = messageOf(error)
  if (error instanceof ApiError || error instanceof RefusedError)
    return { exit: EXIT.refused, code: error.code, message, errors: error.errors }
  if (error instanceof NetworkError)
    return {
      exit: EXIT.unreachable,
      code: 'unreachable',
      message: `${message.replace(/\.$/, '')}${causeOf(error)}. ${REACH}`,
      errors: [],
    }
  if (error instanceof ChecksumError || error instanceof UnreachableError)
    return { exit: EXIT.unreachable, code: 'unreachable', message, errors: [] }
  if (error instanceof Interrupted) return { exit: EXIT.interrupted, code: 'interrupted', message, errors: [] }
  return { exit: EXIT.usage, code: 'usage', message: message.replace(/^error: /, ''), errors: [] }
}

/** Cause of a fetch error, which fetch wraps: `connect ECONNREFUSED 127.0.0.1:3000`, `getaddrinfo ENOTFOUND …`, `bad port` */
function causeOf(error: NetworkError): string {
  let last = ''
  for (let at: unknown = error.cause; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return ` (${at.message || at.code})`
    last = at.message
  }
  return last === '' ? '' : ` (${last})`
}
