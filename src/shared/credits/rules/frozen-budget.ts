import { z } from 'zod'

/** A budget that counts a job: its id, the period, the subject, and the tenant that hears of it where that is not the job's own. */
export const frozenBudgets = z.array(z.tuple([z.string(), z.string(), z.string(), z.string()]))
export type FrozenBudget = z.output<typeof frozenBudgets>[number]
