import { DeadlineError } from '../values/deadline.ts'

/** Whether Redis certainly did not run the command, because it was never written to a socket. */
export const isSurelyNotSent = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("Stream isn't writeable")

/**
 * Error replies of a Redis that cannot or will not serve now: it is loading, is a replica, has too few replicas, cannot
 * write its files, is busy, or refuses this user. Within scripts the code can be followed by other words, or be missing.
 */
const REFUSED =
  /^(?:ERR )?(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|BUSY|NOPERM|NOAUTH|WRONGPASS|NOMASTERLINK|UNKILLABLE|FAILOVER|max number of clients|ACL failure|The user executing the script can't run)\b/

const isRefusal = ({ message }: Error): boolean => REFUSED.test(message)

/** What Redis said when it responded, and cannot or will not serve now; else null. */
export const redisRefusal = (error: unknown): string | null =>
  error instanceof Error && isRefusal(error) ? error.message : null

/** Whether Redis is unreachable, silent or refuses; a command that was sent may have run. */
export const isRedisTrouble = (error: unknown): boolean =>
  error instanceof Error &&
  (isSurelyNotSent(error) ||
    error instanceof DeadlineError ||
    ['MaxRetriesPerRequestError', 'ClusterAllFailedError'].includes(error.name) ||
    /^(Command timed out|Connection is closed|Connection is in|Command aborted due to connection close|Socket timeout)/.test(
      error.message,
    ) ||
    isRefusal(error) ||
    ('code' in error &&
      ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH'].includes(
        String(error.code),
      )))

export const isOutOfMemory = (error: unknown): boolean => error instanceof Error && error.message.startsWith('OOM ')
