import type { Doorbells } from '../../src/shared/jobs/ports.ts'

const ring = (): Promise<void> => Promise.resolve()

/** Doorbells that nobody hears: the test itself is the worker. */
export const SILENT_DOORBELLS: Doorbells = {
  submit: ring,
  line: ring,
  poll: ring,
  adopt: ring,
  window: ring,
  store: ring,
  effect: ring,
  notice: ring,
  progress: ring,
  send: ring,
}
