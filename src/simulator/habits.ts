import { z } from 'zod'

/** Unconfirmed behaviour of Replicate, as settings. The defaults follow its documentation and recorded traffic. */
export const habitsSchema = z.strictObject({
  /** Delivery attempts of the terminal webhook, in seconds after completion: exponential, the last after about a minute. */
  webhook_retry_seconds: z.array(z.number().nonnegative()).min(1).default([0, 2, 6, 14, 30, 60]),
  webhook_timeout_seconds: z.number().positive().default(5),
  /** Whether an aborted prediction sends its `completed` webhook. */
  completed_on_aborted: z.boolean().default(true),
  /** The status inside the `start` webhook. */
  start_status: z.enum(['starting', 'processing']).default('processing'),
  /** A webhook that is no http or https URL: accepted and never delivered, as was seen, or a 422. */
  wrong_webhooks: z.enum(['accepted', 'refused']).default('accepted'),
  /** Shortest time between two `output` webhooks, as documented; 0: one for each output, as Cog sends them. */
  output_webhook_seconds: z.number().nonnegative().default(0.5),
  /** Whether webhook URLs may be plain http. */
  http_webhooks: z.boolean().default(true),
  /** Whether a real 429 carries a Retry-After header beside its body. */
  retry_after_header: z.boolean().default(false),
  /**
   * Who a token belongs to. `shared`: every token is valid, for one account. `by_token`: every token is valid and has
   * an account. Else the valid tokens, each with the user name of its account.
   */
  accounts: z
    .union([z.enum(['shared', 'by_token']), z.record(z.string().min(1), z.string().regex(/^[\w-]+$/))])
    .default('shared'),
  /** Budget of `GET` of one prediction; null: that of all reads, as documented. 60000 was recorded. */
  prediction_gets_per_minute: z.number().positive().nullable().default(null),
  /** Whether the address of a new prediction is in `Location` too, as documented; the recorded answers have none. */
  location_header: z.boolean().default(true),
  /** Whether answers show the `webhook_events_filter` of the create, as in the documented sample. */
  echo_events_filter: z.boolean().default(true),
  /** Longest run, in seconds at speed 1, as documented; null: any. */
  run_limit_seconds: z.number().positive().nullable().default(1800),
  /** Seconds of a cold boot; null: those of the model. */
  cold_boot_seconds: z.number().nonnegative().nullable().default(null),
  /** How long an instance is warm after its last run. */
  warm_seconds: z.number().nonnegative().default(60),
  /** The status of a `Prefer: wait` that times out: `starting` as documented, or the current one. */
  unfinished_wait_status: z.enum(['starting', 'current']).default('starting'),
  /** Status for a `Prefer: wait` that times out: 202 as documented, 201 as recorded. */
  unfinished_wait_code: z.union([z.literal(201), z.literal(202)]).default(202),
  /**
   * Whether `Prefer: wait` returns at completion or, as recorded in 2024, with the first output while the run
   * continues.
   */
  wait_answers: z.enum(['finished', 'first_output']).default('finished'),
  max_body_bytes: z.int().positive().default(20_000_000),
  /** Limit for an upload and for a fetched input. */
  max_file_bytes: z
    .int()
    .positive()
    .default(100 * 1024 * 1024),
  /** A stream is closed after this many seconds without an event. */
  stream_timeout_seconds: z.number().positive().default(30),
  /** Whether streams have `logs` events; the documented events are `output`, `error` and `done`. */
  stream_logs: z.boolean().default(false),
  /** Credit in US dollars below which creates get the budget on the next line. */
  low_credit_usd: z.number().nonnegative().default(5),
  low_credit_creates_per_minute: z.number().positive().default(6),
  /** Fields without a value yet: as each is usually seen, all null, or all absent. */
  empty_fields: z.enum(['mixed', 'null', 'missing']).default('mixed'),
  /** Input and logs after removal: `{}` and `""`, or null. */
  removed_fields: z.enum(['empty', 'null']).default('empty'),
  /** Whether webhooks include `total_time`: the recorded ones do not. */
  total_time_in_webhooks: z.boolean().default(false),
  /** The body of a 404. */
  not_found_body: z.enum(['detail', 'titled', 'short', 'html']).default('detail'),
  /** Status for cancelling a finished prediction; 200 returns it unchanged. */
  cancel_finished_code: z
    .union([z.literal(200), z.literal(400), z.literal(404), z.literal(409), z.literal(422)])
    .default(200),
})

export type Habits = z.output<typeof habitsSchema>
export type HabitsInput = z.input<typeof habitsSchema>
