import { entryTime, type CreditAccount, type LedgerEntry } from './ledger.ts'
import { addUp, groupSpending, type Spending, type SpendingLabel, type SpendingRow } from './spending.ts'

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

type Group = 'day' | SpendingLabel | 'tenant'

/** One row of each group, which names it: `{ "user": "42", ... }`. */
export const spendingView = <By extends Group>(from: string, to: string, by: By, rows: readonly SpendingRow[]) => ({
  from,
  to,
  by,
  data: groupSpending(rows, by === 'day' ? 'day' : 'label').map(({ group, ...sums }) => named(by, group, sums)),
  total: addUp(rows),
})

function named(by: Group, group: string, sums: Spending) {
  switch (by) {
    case 'day':
      return { day: group, ...sums }
    case 'preset':
      return { preset: group, ...sums }
    case 'model':
      return { model: group, ...sums }
    case 'user':
      return { user: group, ...sums }
    case 'key':
      return { key_id: group, ...sums }
    case 'tenant':
      return { tenant: group, ...sums }
  }
}

/** A field of CSV (RFC 4180). What a spreadsheet would take for a formula begins with an apostrophe. */
function csvField(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The rows of each day, not added up: `day,<by>,jobs,estimated,captured,uncollected`. */
export function spendingCsv(by: Group, rows: readonly SpendingRow[]): string {
  const name = by === 'day' ? [] : [by === 'key' ? 'key_id' : by]
  const grouped =
    by === 'day' ? groupSpending(rows, 'day').map(({ group, ...sums }) => ({ ...sums, day: group, label: '' })) : rows
  const lines = grouped.map(({ day, label, jobs, estimated, captured, uncollected }) =>
    [day, ...(by === 'day' ? [] : [label]), jobs, estimated, captured, uncollected].map(csvField).join(','),
  )
  return [['day', ...name, 'jobs', 'estimated', 'captured', 'uncollected'].join(','), ...lines, ''].join('\r\n')
}
