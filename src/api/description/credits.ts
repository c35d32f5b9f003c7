import { z } from 'zod'
import { ENTRY_ID, ledgerKind } from '../../shared/credits/rules/ledger.ts'
import { SPENDING_GROUPS } from '../../shared/credits/rules/credit-requests.ts'
import { batchId, jobId } from '../../shared/jobs/rules/ids.ts'
import { day, pageOf, time } from './common.ts'

/** Credits as the API shows them. Amounts are whole micro-credits; one credit is 1,000,000 of them. */

export const credits = z
  .object({
    tenant: z.string(),
    unlimited: z.boolean().describe('true without a grant: no job is refused, and the balance may be negative.'),
    granted: z.int().describe('Sum of all grants and adjustments.'),
    balance: z.int().describe('Available for new jobs.'),
    held: z.int().describe('Held for jobs that are not final.'),
    captured: z.int().describe('Charged for final jobs.'),
    low_balance: z
      .int()
      .nullable()
      .describe('The event `credits.low` happens when the balance falls below this; null: never.'),
  })
  .meta({ id: 'Credits', description: 'Whole micro-credits. Always granted = balance + held + captured.' })
export type Credits = z.output<typeof credits>

export const ledgerEntry = z
  .object({
    id: z.string().regex(ENTRY_ID),
    kind: ledgerKind,
    amount: z.int().describe('The amount; negative only in adjustments.'),
    granted: z.int(),
    balance: z.int(),
    held: z.int(),
    captured: z.int(),
    job: jobId.nullable().describe('The job of a hold, capture or release.'),
    batch: batchId.nullable().describe('The batch of that job.'),
    uncollected: z.int().describe('Capture: the part of the cost that the account could not pay.'),
    reason: z.string().nullable().describe('The reason of a grant or adjustment.'),
    created_at: time,
  })
  .meta({
    id: 'LedgerEntry',
    description: 'Whole micro-credits. `granted`, `balance`, `held` and `captured` are the account after this entry.',
  })
export type LedgerEntry = z.output<typeof ledgerEntry>

export const ledgerPage = pageOf('LedgerPage', ledgerEntry)
export type LedgerPage = z.output<typeof ledgerPage>

export const spendingSum = z
  .object({
    jobs: z.int().describe('Number of charged jobs.'),
    estimated: z.int().describe('Amounts that were held for the jobs.'),
    captured: z.int(),
    uncollected: z.int().describe('The part of the costs that the account could not pay.'),
  })
  .meta({ id: 'SpendingSum', description: 'Whole micro-credits of jobs that were charged.' })

export const spending = z
  .object({
    from: day,
    to: day,
    by: z.enum([...SPENDING_GROUPS, 'tenant']),
    data: z.array(
      z.union([
        spendingSum.extend({ day }),
        spendingSum.extend({ preset: z.string().describe('The preset, or the model of jobs without one.') }),
        spendingSum.extend({ model: z.string() }),
        spendingSum.extend({ user: z.string() }),
        spendingSum.extend({ key_id: z.string() }),
        spendingSum.extend({ tenant: z.string() }),
      ]),
    ),
    total: spendingSum,
  })
  .meta({ id: 'Spending', description: 'Days are of UTC, such as `2026-01-31`.' })
export type Spending = z.output<typeof spending>

export const costs = z
  .object({
    from: day,
    to: day,
    data: z.array(
      z.object({
        day,
        model: z.string(),
        jobs: z.int().describe('Number of runs whose cost is known.'),
        estimated: z.int().describe('Micro-credits that were held for them.'),
        captured: z.int().describe('Micro-credits that were charged for them.'),
        upstream: z.int().describe('Micro-dollars of Replicate, by its metrics and the price of the model.'),
        estimated_ratio: z.number().nullable().describe('Micro-credits held for each micro-dollar.'),
        captured_ratio: z.number().nullable().describe('Micro-credits charged for each micro-dollar.'),
        price_as_of: day.nullable().describe('The day of the price of the model.'),
        price_source: z.string().nullable().describe('The page that states it.'),
      }),
    ),
  })
  .meta({ id: 'Costs', description: 'Days are of UTC.' })
export type Costs = z.output<typeof costs>
