import { z } from 'zod'
import { LIMIT_NAMES, OPERATOR_ACTIONS } from '../../shared/limits/rules/limit-requests.ts'
import { json } from '../../shared/jobs/rules/job.ts'
import { time } from './common.ts'

/** Limits and pauses that operators change at run time. */

export const scopeLimits = z
  .object({
    scope: z.string().describe('What the limits concern, such as `preset:portrait`.'),
    concurrency: z.int().nullable().describe('Jobs in flight at once; null: not limited.'),
    per_tenant: z.int().nullable().describe('Presets: jobs in flight of each tenant; null: not limited.'),
    weight: z.number().nullable().describe('Tenants: share beside other tenants; null: 1.'),
    creates_per_minute: z.number().nullable().describe('Accounts: the most predictions per minute; null otherwise.'),
    set: z
      .array(z.enum(LIMIT_NAMES))
      .describe(
        'The limits that an operator set; the others are those of the file of the preset or of the configuration.',
      ),
    in_flight: z.int().describe('Jobs in flight now.'),
  })
  .meta({ id: 'ScopeLimits', description: 'The limits of one scope.' })
export type ScopeLimits = z.output<typeof scopeLimits>

export const limitList = z.object({ data: z.array(scopeLimits) }).meta({ id: 'LimitList' })
export type LimitList = z.output<typeof limitList>

const by = z.string().describe('The id of a key, or the user of a command line.')

export const manualPause = z
  .object({
    scope: z.string(),
    reason: z.string().describe('What owners of waiting jobs see.'),
    since: time,
    by,
  })
  .meta({ id: 'ManualPause', description: 'A pause by an operator.' })
export type ManualPause = z.output<typeof manualPause>

export const pauseList = z.object({ data: z.array(manualPause) }).meta({ id: 'PauseList' })
export type PauseList = z.output<typeof pauseList>

export const operatorChange = z
  .object({
    id: z.string(),
    at: time,
    by,
    action: z.enum(OPERATOR_ACTIONS),
    scope: z.string(),
    detail: z.record(z.string(), json).describe('The limits as they were set, or the reason of the pause.'),
  })
  .meta({ id: 'OperatorChange', description: 'A change of limits or pauses by an operator.' })

export const changeList = z.object({ data: z.array(operatorChange) }).meta({ id: 'OperatorChangeList' })
export type ChangeList = z.output<typeof changeList>
