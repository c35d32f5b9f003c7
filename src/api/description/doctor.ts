import { z } from 'zod'
import { CHECK_STATES, checkResult } from '../../shared/doctor/rules/check.ts'
import { time } from './common.ts'

/** The report of the doctor. */
export const doctorReport = z
  .object({
    state: z.enum(CHECK_STATES).exclude(['skipped']).describe('The worst of the checks.'),
    at: time,
    checks: z.array(checkResult.meta({ id: 'DoctorCheck', description: 'Result of one check of the set-up.' })),
  })
  .meta({ id: 'DoctorReport', description: 'What is right and wrong with the set-up of the deployment.' })
export type DoctorReport = z.output<typeof doctorReport>
