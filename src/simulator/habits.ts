import { z } from 'zod'

/**
 * What is not confirmed about Replicate, as settings: the defaults are the best reading of its documentation and of
 * recorded traffic.
 */
export const habitsSchema = z.strictObject({
  /** When the terminal webhook is tried, in seconds after completion: exponential, the last about a minute later. */
  webhook_retry_seconds: z.array(z.number().nonnegative()).min(1).default([0, 2, 6, 14, 30, 60]),
  webhook_timeout_seconds: z.number().positive().default(5),
  /** Whether an aborted prediction sends its `completed` webhook. */
  completed_on_aborted: z.boolean().default(true),
  /** The status inside the `start` webhook. */
  start_status: z.enum(['starting', 'processing']).default('processing'),
  /** Whether webhook URLs may be plain http. */
  http_webhooks: z.boolean().default(true),
  /** Whether a real 429 carries a Retry-After header beside its body. */
  retry_after_header: z.boolean().default(false),
  /** The code for `Prefer: wait` when the run is not over in time: 202 as documented, 201 as recorded. */
  unfinished_wait_code: z.union([z.literal(201), z.literal(202)]).default(202),
  max_body_bytes: z.int().positive().default(20_000_000),
})

export type Habits = z.output<typeof habitsSchema>
export type HabitsInput = z.input<typeof habitsSchema>
