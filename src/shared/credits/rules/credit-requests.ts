import { z } from 'zod'
import { ENTRY_ID, LEDGER_KINDS, OPERATOR_KINDS } from './ledger.ts'
import { dayAfter, dayOf, daysBetween, isDay } from './spending.ts'

/** Schemas of requests about credits, over HTTP and on the command line. Amounts are whole micro-credits. */

export const MAX_SPENDING_DAYS = 366

export const entryRequestSchema = z
  .strictObject({
    amount: z.number().int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
    reason: z
      .string()
      .trim()
      .min(1)
      .max(500)
      .regex(/^\P{C}*$/u, { error: 'Expected a line of text.' }),
    /** Default: `grant` for a positive amount, `adjustment` for a negative one. */
    kind: z.enum(OPERATOR_KINDS).optional(),
  })
  .transform(({ kind, ...entry }) => ({ ...entry, kind: kind ?? (entry.amount < 0 ? 'adjustment' : 'grant') }))
  .superRefine(({ kind, amount }, context) => {
    const wrong = (message: string): void =>
      context.addIssue({ code: 'custom', path: ['amount'], message, params: { code: 'too_small' }, input: amount })
    if (kind === 'grant' && amount < 0) wrong('A grant is positive. Use an adjustment to take credits back.')
    if (kind === 'adjustment' && amount === 0) wrong('An adjustment must not be 0.')
  })

export const ledgerQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().regex(ENTRY_ID, { error: 'Expected the next_cursor of an earlier page.' }).optional(),
  kind: z.enum(LEDGER_KINDS).optional(),
  job: z.string().max(40).optional(),
})

const day = z
  .string()
  .refine(isDay, { error: 'Expected a day such as 2026-01-31.', params: { code: 'invalid_format' } })

export const spendingQuerySchema = z.strictObject({
  from: day.optional(),
  to: day.optional(),
  by: z.enum(['day', 'preset']).default('day'),
})

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
