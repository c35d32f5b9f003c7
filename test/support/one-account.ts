import type { Budget } from '../../src/shared/limits/rules/budget.ts'
import {
  absentAccount,
  createAccounts,
  type Accounts,
  type ReplicateAccount,
} from '../../src/shared/replicate/accounts.ts'

/** Accounts with one account of these parts. What a test does not give is refused; without a budget reads need none. */
export function oneAccount(
  parts: {
    upstream?: Partial<ReplicateAccount['upstream']>
    relay?: Partial<ReplicateAccount['relay']>
    reads?: Budget
  },
  name = 'default',
): Accounts {
  const { upstream, relay, reads, ...rest } = absentAccount(name)
  const budget = parts.reads
  return createAccounts([
    {
      ...rest,
      upstream: { ...upstream, ...parts.upstream },
      relay: { ...relay, ...parts.relay },
      reads: budget ? { of: () => budget } : reads,
    },
  ])
}
