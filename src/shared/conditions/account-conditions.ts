import type { Conditions } from './conditions.ts'
import type { ConditionName } from './rules/condition.ts'

/**
 * Conditions of several accounts: one holds while any of them has it, and its detail names them. With one account the detail is
 * that of the account.
 */
export function createAccountConditions(conditions: Pick<Conditions, 'set'>, names: readonly string[]) {
  const details = new Map<ConditionName, Map<string, string>>()
  return (account: string): Pick<Conditions, 'set'> => ({
    set(name, detail) {
      const known = details.get(name) ?? new Map<string, string>()
      details.set(name, known)
      if (detail === null) known.delete(account)
      else known.set(account, detail)
      conditions.set(name, known.size === 0 ? null : detailOf(known, names))
    },
  })
}

/** The details of a condition by account, as one. */
export const detailOf = (details: ReadonlyMap<string, string>, names: readonly string[]): string =>
  names.length === 1
    ? [...details.values()].join('; ')
    : [...details].map(([account, detail]) => `account ${account}: ${detail}`).join('; ')
