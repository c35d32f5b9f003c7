import type { z } from 'zod'

/** For `safeParse`: what is not there is needed, where zod would tell of `undefined`. */
export const PLAIN_WORDS = {
  error: ({ code, input }: z.core.$ZodRawIssue): string | undefined =>
    code === 'invalid_type' && input === undefined ? 'Needed.' : undefined,
}
