/** An error that says what cannot be done, and the reason of the system or network: "cannot read a.json: ENOENT: …". */
export const cannot = (act: string, cause: unknown): Error => new Error(`cannot ${act}: ${reasonIn(cause)}`, { cause })

/** `fetch` hides the reason in its cause. */
function reasonIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
