import { z } from 'zod'
import { time } from './common.ts'
import { forecast, job, waitingFor } from './jobs.ts'

/** What a submission would do, as `?explain=1` shows it. */

const { preset, model, version, deployment, priority } = job.shape

export const explanation = z
  .object({
    jobs: z.int(),
    runs: z
      .array(z.object({ preset, model, version, deployment, priority, jobs: z.int() }))
      .describe('The kinds of jobs, with what they run: the target that the request was resolved to.'),
    cost: z
      .object({
        hold: z.int().describe('The amount that would be held.'),
        unpriced: z.int().describe('Number of jobs without a price.'),
        balance: z
          .int()
          .nullable()
          .describe('null if the credit is not limited, or the key lacks the scope `credits:read`.'),
        balance_after: z.int().nullable().describe('The balance after the hold; null as above.'),
      })
      .describe('Micro-credits.'),
    budgets: z
      .array(
        z.object({
          id: z.string(),
          title: z.string(),
          limit: z.int(),
          hard: z.boolean(),
          used: z.int(),
          used_after: z.int(),
          resets_at: time,
        }),
      )
      .describe('The budgets of the tenant that would count the jobs; empty without the scope `credits:read`.'),
    limits: z
      .array(
        z.object({
          name: z.enum(['queued_jobs', 'concurrency']),
          scope: z.string().describe('What the limit concerns, such as `tenant:acme` or `preset:portrait`.'),
          limit: z.number(),
          used: z.int(),
        }),
      )
      .describe('The limits of waiting jobs and of jobs in flight that apply, with their present use.'),
    accounts: z.array(z.string()).describe('Names of the Replicate accounts that may run the jobs.'),
    waiting_for: waitingFor.nullable().describe('What the first job would wait for.'),
    forecast: forecast.nullable().describe('Of the first job.'),
    last_forecast: forecast.nullable().describe('Of the last job; null for a batch whose jobs run one after another.'),
  })
  .meta({ id: 'Explanation', description: 'What a submission would do now. Nothing was submitted.' })
export type Explanation = z.output<typeof explanation>
