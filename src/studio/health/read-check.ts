/** Checks are the service's own; what cannot be read is not well. */
export function readCheck(check: unknown): { ok: boolean; detail: string } {
  if (typeof check !== 'object' || check === null) return { ok: false, detail: 'cannot be read' }
  const { ok, detail } = { ok: false, detail: '', ...check }
  return { ok, detail: typeof detail === 'string' ? detail : '' }
}
