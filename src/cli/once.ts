import { randomUUID } from 'node:crypto'
import { isRedisTrouble, isSurelyNotSent } from '../shared/redis/trouble.ts'
import { UnreachableError } from './failures.ts'

/**
 * Runs `work` under an idempotency key: the caller's, or else a random one. When Redis does not respond, the outcome is
 * unknown, and the error contains the key that makes a repetition safe.
 */
export async function once<T>(given: string | undefined, work: (key: string) => Promise<T>): Promise<T> {
  if (given !== undefined && !/^[\x20-\x7e]{1,255}$/.test(given))
    throw new Error('--idempotency-key: expected 1 to 255 printable ASCII characters')
  const key = given ?? randomUUID()
  try {
    return await work(key)
  } catch (error) {
    if (!isRedisTrouble(error) || isSurelyNotSent(error)) throw error
    throw new UnreachableError(
      `Redis did not respond in time, so it is unknown whether the command was executed. Repeat it with --idempotency-key '${key}': it is then executed once.`,
      { cause: error },
    )
  }
}
