import { ZodError } from 'zod'
import { ServiceError } from '../../errors/service-error.ts'

/** `what` in Redis is no whole number, or too large: nothing is answered from it, because JSON would show another number. */
export const notCountable = (what: string): ServiceError =>
  new ServiceError(
    'credits_not_countable',
    `${what} is damaged or beyond what can be counted exactly (2^53 micro-credits). The command genqueue ledger verify shows the cause.`,
  )

/** Decodes records of an account; throws `credits_not_countable`, which names the wrong fields, in place of a ZodError. */
export function readable<T>(what: string, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof ZodError)) throw error
    const fields = [...new Set(error.issues.map(({ path }) => path.join('.')))].join(', ')
    throw notCountable(`${what} (${fields})`)
  }
}
