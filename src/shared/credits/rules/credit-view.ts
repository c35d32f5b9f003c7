import { entryTime, type CreditAccount, type LedgerEntry } from './ledger.ts'
import { addUp, groupSpending, type SpendingRow } from './spending.ts'

/** Credits as the API and the command line show them. Amounts are whole micro-credits. */

export const accountView = (
  tenant: string,
  { granted, balance, held, captured, limited, low_balance }: CreditAccount,
) => ({
  tenant,
  unlimited: !limited,
  granted,
  balance,
  held,
  captured,
  low_balance,
})

export const entryView = ({ id, kind, amount, after, job, batch, uncollected, reason }: LedgerEntry) => ({
  id,
  kind,
  amount,
  ...after,
  job,
  batch,
  uncollected,
  reason,
  created_at: new Date(entryTime({ id })).toISOString(),
})

export const spendingView = (from: string, to: string, by: 'day' | 'preset', rows: readonly SpendingRow[]) => ({
  from,
  to,
  by,
  data: groupSpending(rows, by === 'day' ? 'day' : 'label').map(({ group, ...sums }) =>
    by === 'day' ? { day: group, ...sums } : { preset: group, ...sums },
  ),
  total: addUp(rows),
})
