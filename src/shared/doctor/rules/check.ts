import { z } from 'zod'

/**
 * Checks of `genqueue doctor` by name, in the order of the report, each with its subject. To add one, add a row here, the
 * check in a file of `src/shared/doctor`, and its use: in `doctor.ts` of `src/compose`, or if a worker makes it, in
 * `doctor-worker.ts` and `open-doctor.ts` there. docs/troubleshooting.md explains every name.
 */
export const CHECKS = {
  redis: 'Redis',
  redis_persistence: 'Persistence of Redis',
  redis_memory: 'Memory of Redis',
  redis_latency: 'Latency of Redis',
  clocks: 'Clocks',
  workers: 'Workers',
  conditions: 'Conditions',
  replicate: 'Replicate account',
  credit: 'Credit at Replicate',
  presets: 'Presets and models',
  storage: 'File storage',
  storage_space: 'Free space',
  mail: 'Mail server',
  webhook_secret: 'Webhook signing secret',
  webhook_address: 'Webhook address',
  webhook_probe: 'Webhook from outside',
  webhook_body: 'Large webhook',
  proxy_buffering: 'Streams through the proxy',
  prediction: 'Prediction',
} as const

export type CheckName = keyof typeof CHECKS

const isCheckName = (name: string): name is CheckName => Object.hasOwn(CHECKS, name)
export const CHECK_NAMES: readonly CheckName[] = Object.keys(CHECKS).filter(isCheckName)

/** From the worst to the best. */
export const CHECK_STATES = ['failed', 'warning', 'ok', 'skipped'] as const
export type CheckState = (typeof CHECK_STATES)[number]

export const checkResult = z.object({
  name: z.enum(CHECK_NAMES).describe('docs/troubleshooting.md explains each name.'),
  title: z.string().describe('The subject, in a few words.'),
  state: z
    .enum(CHECK_STATES)
    .describe(
      '`warning`: it works, but not as well as it could. `skipped`: it could not be checked, or does not apply.',
    ),
  seen: z.string().describe('What was found, in one or two sentences.'),
  todo: z.string().nullable().describe('What to do; null: nothing.'),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).describe('Measured values.'),
  duration_ms: z.int(),
})
export type CheckResult = z.output<typeof checkResult>

/** Result of a check, without its name and duration. */
export type Finding = Pick<CheckResult, 'state' | 'seen' | 'todo' | 'details'>
export type Details = Finding['details']

export const ok = (seen: string, details: Details = {}): Finding => ({ state: 'ok', seen, todo: null, details })
export const warning = (seen: string, todo: string, details: Details = {}): Finding => ({
  state: 'warning',
  seen,
  todo,
  details,
})
export const failed = (seen: string, todo: string, details: Details = {}): Finding => ({
  state: 'failed',
  seen,
  todo,
  details,
})
export const skipped = (seen: string, todo: string | null = null, details: Details = {}): Finding => ({
  state: 'skipped',
  seen,
  todo,
  details,
})

/** State of a whole report: the worst of its checks. Skipped checks do not count. */
export const worst = (results: readonly Pick<CheckResult, 'state'>[]): Exclude<CheckState, 'skipped'> =>
  (['failed', 'warning'] as const).find((state) => results.some((one) => one.state === state)) ?? 'ok'
