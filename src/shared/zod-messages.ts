import type { z } from 'zod'

/** Options for `safeParse`: a missing value is reported as required, where zod would mention `undefined`. */
export const ZOD_MESSAGES = {
  error: ({ code, input }: z.core.$ZodRawIssue): string | undefined =>
    code === 'invalid_type' && input === undefined ? 'Required.' : undefined,
}
