import { z } from 'zod'
import { keysOf } from '../../values/keys-of.ts'
import { limitScope, pauseScope, scopeKind, type ScopeKind } from './limit-scope.ts'

/** Schemas of operators' requests about limits and pauses, over HTTP and on the command line. */

/** What can be limited, and for which kinds of scopes. */
const CONCERNS = {
  concurrency: ['account', 'model', 'deployment', 'preset', 'tenant'],
  per_tenant: ['preset'],
  weight: ['tenant'],
  creates_per_minute: ['account'],
} as const satisfies Record<string, readonly ScopeKind[]>
export type LimitName = keyof typeof CONCERNS
export const LIMIT_NAMES = keysOf(CONCERNS)

export const UNLIMITED = 'unlimited'
const jobs = z.union([z.number().int().min(1).max(100_000), z.literal(UNLIMITED)]).nullable()

export const limitChangeSchema = z
  .strictObject({
    scope: limitScope,
    concurrency: jobs
      .optional()
      .describe('Jobs in flight at once. `unlimited` also lifts the limit that the file of a preset states.'),
    per_tenant: jobs.optional().describe('Presets only: jobs in flight of each tenant.'),
    weight: z
      .number()
      .min(0.01)
      .max(1000)
      .nullable()
      .optional()
      .describe('Tenants only: share beside other tenants, 1 by default.'),
    creates_per_minute: z
      .number()
      .min(0.1)
      .max(100_000)
      .nullable()
      .optional()
      .describe('Accounts only: the most predictions per minute, instead of the configured budget.'),
  })
  .superRefine((change, context) => {
    const kind = scopeKind(change.scope)
    const named = LIMIT_NAMES.filter((name) => change[name] !== undefined)
    for (const name of named)
      if (kind !== null && !new Set<ScopeKind>(CONCERNS[name]).has(kind))
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `Expected a scope of ${CONCERNS[name].join(', ')}.`,
          params: { code: 'not_allowed' },
        })
    if (named.length === 0)
      context.addIssue({
        code: 'custom',
        path: ['concurrency'],
        message: `Expected one of ${LIMIT_NAMES.join(', ')}.`,
        params: { code: 'missing' },
      })
  })
  .meta({
    id: 'LimitChange',
    description:
      'Limits of one scope. Absent fields stay; null removes what an operator set, so that the file of the preset or the configuration applies again.',
  })
export type LimitChange = z.output<typeof limitChangeSchema>

export const pauseRequestSchema = z
  .strictObject({
    scope: pauseScope,
    reason: z
      .string()
      .trim()
      .min(1)
      .max(300)
      .regex(/^\P{C}*$/u, { error: 'Expected a line of text.' })
      .describe('A line of text, which owners of waiting jobs see.'),
  })
  .meta({ id: 'PauseRequest' })

/** What operators change. */
export const OPERATOR_ACTIONS = ['limits', 'pause', 'resume'] as const
export type OperatorAction = (typeof OPERATOR_ACTIONS)[number]

export const resumeSchema = z.object({ scope: pauseScope })
