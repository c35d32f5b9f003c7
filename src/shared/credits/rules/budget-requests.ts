import { z } from 'zod'
import { KEY_ID } from '../../tenants/rules/api-key.ts'
import { TENANT_ID } from '../../tenants/rules/tenant.ts'
import { BUDGET_PERIODS, isTimeZone } from './period.ts'
import { BUDGET_SCOPES } from './spending-budget.ts'

/** Schemas of requests about budgets, over HTTP and on the command line. Amounts are whole micro-credits. */

const title = z
  .string()
  .trim()
  .max(100)
  .regex(/^\P{C}*$/u, { error: 'Expected a line of text.' })
const limit = z
  .number()
  .int()
  .min(1)
  .max(2 ** 52)
  .describe('Micro-credits for each period.')
const hard = z
  .boolean()
  .describe('Whether jobs beyond the limit are refused with 402 `budget_exceeded`. false: they are only counted.')
const alertAt = z
  .array(z.number().int().min(1).max(1000))
  .max(10)
  .transform((percents) => [...new Set(percents)].sort((a, b) => a - b))
  .describe('Percents of the limit. The event `budget.alert` happens once in a period when one of them is reached.')

export const budgetRequestSchema = z
  .strictObject({
    title: title.default(''),
    scope: z.enum(BUDGET_SCOPES).describe('What the budget counts the jobs of.'),
    tenant: z
      .string()
      .regex(TENANT_ID)
      .nullable()
      .default(null)
      .describe('Required, except for a preset: null is then all tenants together.'),
    key_id: z.string().regex(KEY_ID).nullable().default(null).describe('The API key, with `scope: key`.'),
    preset: z.string().min(1).max(100).nullable().default(null).describe('The preset, with `scope: preset`.'),
    user: z
      .string()
      .min(1)
      .max(200)
      .nullable()
      .default(null)
      .describe('The user of the tenant, with `scope: user`; null: each user has the limit for itself.'),
    period: z.enum(BUDGET_PERIODS).describe('A calendar day, a week from Monday on, or a calendar month.'),
    time_zone: z
      .string()
      .max(64)
      .refine(isTimeZone, {
        error: 'Expected the name of a time zone, such as Europe/Berlin.',
        params: { code: 'invalid_time_zone' },
      })
      .default('UTC')
      .describe('The IANA time zone of the calendar.'),
    limit,
    hard: hard.default(true),
    alert_at: alertAt.default([80, 100]),
  })
  .superRefine(({ scope, tenant, key_id, preset, user }, context) => {
    const wrong = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message, params: { code: 'invalid_value' }, input: undefined })
    if (tenant === null && scope !== 'preset') wrong('tenant', 'Required with this scope.')
    for (const [of, field, value] of [
      ['key', 'key_id', key_id],
      ['preset', 'preset', preset],
      ['user', 'user', user],
    ] as const) {
      if (scope === of && value === null && of !== 'user') wrong(field, 'Required with this scope.')
      if (scope !== of && value !== null) wrong(field, `Only with the scope ${of}.`)
    }
  })
  .meta({ id: 'BudgetRequest' })
export type BudgetRequest = z.output<typeof budgetRequestSchema>

export const budgetChangeSchema = z
  .strictObject({
    title: title.optional(),
    limit: limit.optional(),
    hard: hard.optional(),
    alert_at: alertAt.optional(),
  })
  .meta({ id: 'BudgetChange', description: 'Absent fields are unchanged.' })
export type BudgetChange = z.output<typeof budgetChangeSchema>

export const budgetListSchema = z.strictObject({
  tenant: z.string().regex(TENANT_ID).optional().describe('Only budgets of this tenant.'),
})
