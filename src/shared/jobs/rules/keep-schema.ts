import { z } from 'zod'
import { formatDuration, parseDuration } from '../../values/duration.ts'
import { KEEP_BOUNDS, keepProblem, type Keep } from './keep.ts'

/** Schemas of retention in requests, presets and tenants. */

/** A retention clock: a text such as `24h`, parsed to seconds; `forever` is Infinity. */
function clock(name: keyof Keep) {
  const { min, max, forever } = KEEP_BOUNDS[name]
  const bounds = `${formatDuration(min)} to ${formatDuration(max)}`
  const error = forever
    ? `Expected a whole number with s, m, h or d, ${bounds}, or forever.`
    : `Expected a whole number with s, m, h or d, ${bounds}. Forever is for files only.`
  return z
    .string({ error })
    .meta({
      pattern: forever ? '^(?:\\d{1,6}[smhd]|forever)$' : '^\\d{1,6}[smhd]$',
      examples: [forever ? '30d' : '24h'],
      description: `From ${bounds}${forever ? ', or `forever`' : ''}.`,
    })
    .transform((text) => (forever && text === 'forever' ? Infinity : (parseDuration(text) ?? NaN)))
    .refine((seconds) => seconds === Infinity || (seconds >= min && seconds <= max), { error })
}

const clocks = { payload: clock('payload'), job: clock('job'), files: clock('files') }

/** Retention after completion; a missing clock comes from the level above. */
export const keepSchema = z
  .strictObject({ payload: clocks.payload.optional(), job: clocks.job.optional(), files: clocks.files.optional() })
  .superRefine((own, context) => {
    const problem = keepProblem(own)
    if (problem)
      context.addIssue({
        code: 'custom',
        path: [problem.clock],
        message: problem.detail,
        params: { code: 'inconsistent' },
        input: own,
      })
  })
  .meta({ id: 'OwnKeep', description: 'Absent clocks have the value of the level above.' })

/** Retention of a tenant; null: the deployment's default. */
export const tenantKeepSchema = z
  .strictObject({
    payload: clocks.payload.nullable().optional(),
    job: clocks.job.nullable().optional(),
    files: clocks.files.nullable().optional(),
  })
  .meta({
    id: 'TenantKeep',
    description: 'How long the jobs of a tenant are kept; null applies the value of the deployment.',
  })
