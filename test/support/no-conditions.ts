import type { Conditions } from '../../src/shared/conditions/conditions.ts'

/** Where nothing holds anything up. */
export const noConditions: Conditions = {
  set: () => undefined,
  has: () => false,
  local: () => [],
  all: () => Promise.resolve([]),
  stop: () => Promise.resolve(),
}
