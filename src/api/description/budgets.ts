import { z } from 'zod'
import { BUDGET_PERIODS } from '../../shared/credits/rules/period.ts'
import { BUDGET_ID, BUDGET_SCOPES } from '../../shared/credits/rules/spending-budget.ts'
import { onlyPageOf, time } from './common.ts'

/** Budgets as the API shows them. Amounts are whole micro-credits. */

export const budgetId = z
  .string()
  .regex(BUDGET_ID)
  .meta({ id: 'BudgetId', examples: ['bdg_01KGX5Q8Z2V7M4N6P9R3S5T8W1'] })

export const budget = z
  .object({
    id: budgetId,
    title: z.string(),
    scope: z.enum(BUDGET_SCOPES).describe('What the budget counts the jobs of.'),
    tenant: z.string().nullable().describe('null: of all tenants; only with a preset.'),
    key_id: z.string().nullable(),
    preset: z.string().nullable(),
    user: z.string().nullable().describe('With `scope: user`, null means each user for itself.'),
    period: z.enum(BUDGET_PERIODS),
    time_zone: z.string(),
    limit: z.int().describe('For each period.'),
    hard: z.boolean().describe('Whether jobs beyond the limit are refused.'),
    alert_at: z.array(z.int()).describe('Percents of the limit at which `budget.alert` happens.'),
    used: z.int().nullable().describe('In this period; null if each user has the limit for itself.'),
    remaining: z.int().nullable().describe('Until the limit, at least 0; null as above.'),
    users: z
      .array(z.object({ user: z.string(), used: z.int() }))
      .nullable()
      .describe('The hundred users who have used most in this period; null if the budget has one limit.'),
    period_started_at: time,
    resets_at: time.describe('When the next period begins.'),
    created_at: time,
  })
  .meta({ id: 'Budget', description: 'A limit of what jobs may cost in a calendar period. Whole micro-credits.' })
export type Budget = z.output<typeof budget>

export const budgetPage = onlyPageOf('BudgetPage', budget)
export type BudgetPage = z.output<typeof budgetPage>
