import { z } from 'zod'
import { jobPhase } from '../../shared/jobs/rules/job.ts'
import { PAUSE_REASONS } from '../../shared/jobs/rules/decision.ts'
import { time, timeOrNull } from './common.ts'
import { waitingReason } from './jobs.ts'

/** The health of a process and of a deployment. */

export const liveness = z.object({ status: z.literal('ok'), version: z.string() }).meta({ id: 'Liveness' })

export const readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    version: z.string(),
    checks: z.record(
      z.string(),
      z.object({
        ok: z.boolean(),
        detail: z.string(),
        optional: z.literal(true).exactOptional().describe('true if the process is ready even when this check fails.'),
      }),
    ),
  })
  .meta({ id: 'Readiness' })

export const allowance = z
  .object({
    per_minute: z.number(),
    burst: z.number().describe('Maximum number of requests in a burst.'),
    free: z.int().describe('Number of requests available now.'),
  })
  .meta({ id: 'Allowance', description: 'A rate limit of requests to Replicate.' })
export type Allowance = z.output<typeof allowance>

export const createAllowance = allowance
  .extend({
    per_minute: z.number().describe('Lower than `ceiling` after Replicate responded to creates with 429.'),
    ceiling: z.number().describe('The configured budget, or the limit that an operator set instead.'),
    quiet_since: timeOrNull.describe(
      'Since when no 429 has come; in the future while creation is paused for one. null: the rate is not lowered.',
    ),
    throttled: z.int().describe('Creates that Replicate refused with 429, since the creation of the deployment.'),
    throttled_probing: z.int().describe('Those of them that were refused while a higher rate was tried.'),
  })
  .meta({ id: 'CreateAllowance', description: 'The rate of creates, which 429s lower for a time.' })
export type CreateAllowance = z.output<typeof createAllowance>

export const health = z
  .object({
    jobs: z.partialRecord(jobPhase, z.int()).describe('Kept jobs, by phase.'),
    predictions_open: z.int().describe('Predictions in flight.'),
    finished_by: z
      .record(z.string(), z.int())
      .describe(
        'Number of completions by the way in which they were detected (`webhook`, `poll`, `list`, `create`, `cancel`), since the creation of the deployment.',
      ),
    webhooks: z.object({
      expected: z.boolean().describe('Replicate can reach this service. If not, jobs are completed by polling.'),
      silent: z.boolean().describe('Recent completions were found by polling, and no webhook arrived.'),
      latency: z
        .object({ count: z.int(), p50: z.number(), p90: z.number(), max: z.number() })
        .nullable()
        .describe(
          'Seconds from the completion of a prediction to our commit, for the last 500 webhooks of the process that responds; null before the first.',
        ),
      dead_letters: z.int().describe('Authentic webhooks that could not be used.'),
    }),
    budget: z.object({ creates: createAllowance, reads: allowance }),
    pause: z
      .object({ reason: z.enum(PAUSE_REASONS), until: timeOrNull })
      .nullable()
      .describe('Why creation is paused in every account, and until when that is known; null if it is not.'),
    accounts: z
      .array(
        z.object({
          name: z.string(),
          predictions_open: z.int().describe('Predictions in flight.'),
          webhooks_silent: z.boolean().describe('Recent completions were found by polling, and no webhook arrived.'),
          budget: z.object({ creates: createAllowance, reads: allowance }),
          pause: z.object({ reason: z.enum(PAUSE_REASONS), until: timeOrNull }).nullable(),
          outcomes_unknown: z.int().describe('Create requests with an unknown outcome.'),
        }),
      )
      .describe('The Replicate accounts, `default` first; the figures above are of all of them.'),
    conditions: z
      .array(
        z.object({
          name: z.string().describe('docs/waiting.md explains each name.'),
          title: z.string().describe('One sentence.'),
          detail: z.string().describe('Detail, such as the text of an error.'),
          since: time,
          processes: z.int().describe('Number of processes that report it.'),
          stops_creation: z.boolean().describe('true if no prediction is created while it lasts.'),
        }),
      )
      .describe('Problems that delay the deployment, the most important first.'),
    waiting: z
      .object({
        looked_at: z.int().describe('Number of jobs that were examined, of all tenants.'),
        reasons: z.array(z.object({ reason: waitingReason, jobs: z.int() })),
      })
      .describe('Reasons why jobs without a prediction wait.'),
    artifacts_at_risk: z.int().describe('Uncopied outputs that Replicate removes within 15 minutes.'),
    outcomes_unknown: z.int().describe('Create requests with an unknown outcome.'),
    orphan_predictions: z.int().describe('Predictions of this service that belonged to no attempt; the goal is 0.'),
    due: z.object({ waiting: z.int(), overdue: z.int() }).describe('What waits for its time, and what has passed it.'),
  })
  .meta({ id: 'Health', description: 'How the whole deployment is doing.' })
export type Health = z.output<typeof health>
