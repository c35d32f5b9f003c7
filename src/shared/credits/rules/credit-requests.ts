import { z } from 'zod'
import { pageQuery } from '../../values/page-query.ts'
import { ENTRY_ID, ledgerKind, OPERATOR_KINDS } from './ledger.ts'
import { dayAfter, dayOf, daysBetween, isDay, SPENDING_LABELS } from './spending.ts'

/** Schemas of requests about credits, over HTTP and on the command line. Amounts are whole micro-credits. */

export const MAX_SPENDING_DAYS = 366

export const entryRequestSchema = z
  .strictObject({
    amount: z
      .number()
      .int()
      .min(-Number.MAX_SAFE_INTEGER)
      .max(Number.MAX_SAFE_INTEGER)
      .describe('Whole micro-credits. A grant of 0 makes a tenant limited without adding credits.'),
    reason: z
      .string()
      .trim()
      .min(1)
      .max(500)
      .regex(/^\P{C}*$/u, { error: 'Expected a line of text.' })
      .describe('A single line of text, stored in the ledger.'),
    kind: z
      .enum(OPERATOR_KINDS)
      .optional()
      .describe(
        'By default a negative amount is an adjustment, any other a grant. A grant is at least 0; an adjustment leaves an unlimited tenant unlimited.',
      ),
  })
  .transform(({ kind, ...entry }) => ({ ...entry, kind: kind ?? (entry.amount < 0 ? 'adjustment' : 'grant') }))
  .superRefine(({ kind, amount }, context) => {
    const wrong = (message: string): void =>
      context.addIssue({ code: 'custom', path: ['amount'], message, params: { code: 'too_small' }, input: amount })
    if (kind === 'grant' && amount < 0) wrong('A grant is positive. Use an adjustment to take credits back.')
    if (kind === 'adjustment' && amount === 0) wrong('An adjustment must not be 0.')
  })
  .meta({ id: 'CreditEntryRequest' })

export const accountChangeSchema = z
  .strictObject({
    low_balance: z
      .number()
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .nullable()
      .describe(
        'The event `credits.low` happens when the balance of a limited tenant falls below this: once until a grant lifts it again, or this value is set again. null: never.',
      ),
  })
  .meta({ id: 'LowBalance' })

export const ledgerQuerySchema = pageQuery(ENTRY_ID, 'entries').extend({
  kind: ledgerKind.optional().describe('Only entries of this kind.'),
  job: z.string().max(40).optional().describe('Only entries of this job.'),
})

const day = z
  .string()
  .refine(isDay, { error: 'Expected a day such as 2026-01-31.', params: { code: 'invalid_format' } })
  .meta({ format: 'date' })

export const SPENDING_GROUPS = ['day', ...SPENDING_LABELS] as const
export const ALL_SPENDING_GROUPS = ['day', 'tenant'] as const

export const spendingQuerySchema = z.strictObject({
  from: day.optional().describe('The first day (UTC). Default: 29 days before the last.'),
  to: day
    .optional()
    .describe(`The last day (UTC), included. Default: today. The range is limited to ${MAX_SPENDING_DAYS} days.`),
  by: z
    .enum(SPENDING_GROUPS)
    .default('day')
    .describe(
      'The grouping. With `preset`, jobs without a preset are grouped by model. Spending by `model`, `user` and `key` is kept for 400 days; jobs without a user or key are not in it.',
    ),
})

export const allSpendingQuerySchema = spendingQuerySchema.extend({
  by: z.enum(ALL_SPENDING_GROUPS).default('tenant').describe('The grouping.'),
})

export const costQuerySchema = spendingQuerySchema.omit({ by: true })

/** Days of a query, `to` included; default: today (`now`: ms) and the 29 days before it. null: more than MAX_SPENDING_DAYS. */
export function spendingDays(
  { from, to }: Pick<z.output<typeof spendingQuerySchema>, 'from' | 'to'>,
  now: number,
): { from: string; to: string; days: string[] } | null {
  const last = to ?? dayOf(now)
  const first = from ?? dayAfter(last, -29)
  if (first > last || dayAfter(first, MAX_SPENDING_DAYS) <= last) return null
  return { from: first, to: last, days: daysBetween(first, last) }
}
