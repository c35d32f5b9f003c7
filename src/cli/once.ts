import { randomUUID } from 'node:crypto'
import { isRedisTrouble, isSurelyNotSent } from '../shared/redis/trouble.ts'
import { UnreachableError } from './failures.ts'

/**
 * Does what must not be done twice under an idempotency key: that of the caller, or one of ours. When Redis did not
 * answer, whether it was done is not known: the error names the key that makes repeating the command safe.
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
      `Redis did not answer in time. Whether the command was carried out is not known: repeat it with --idempotency-key '${key}', then it is done once.`,
      { cause: error },
    )
  }
}
