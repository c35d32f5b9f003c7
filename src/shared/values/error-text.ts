/** Message of anything that was thrown, without its stack. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Whether something that was thrown has this code, such as ENOENT. */
export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
