import { z } from 'zod'
import { eventType, JOB_TYPES, type EventType } from '../shared/notifications/rules/event-types.ts'
import type { OwnWebhook } from '../shared/notifications/rules/own-webhook.ts'
import { webhookUrlProblem, type WebhookAllow } from '../shared/notifications/rules/webhook-url.ts'
import type { FieldError } from '../shared/errors/service-error.ts'
import type { WebhookEvent } from '../shared/jobs/rules/job.ts'

/** The webhook that a request gives its job or batch. */

const ENDS = ['job.succeeded', 'job.failed', 'job.canceled'] as const
const BATCH_TYPES = ['batch.finished', ...JOB_TYPES] as const

const url = z
  .string()
  .describe(
    'A public https URL without credentials. The operator can allow others with WEBHOOK_ALLOW. Keys that may read the job see it; job tokens do not.',
  )

export const jobWebhook = z
  .strictObject({
    url,
    events: z
      .array(z.enum(JOB_TYPES))
      .min(1)
      .max(JOB_TYPES.length)
      .default([...ENDS])
      .describe('What is sent. Default: `job.succeeded`, `job.failed` and `job.canceled`.'),
  })
  .meta({ id: 'JobWebhook' })

export const batchWebhook = z
  .strictObject({
    url,
    events: z
      .array(z.enum(BATCH_TYPES))
      .min(1)
      .max(BATCH_TYPES.length)
      .default(['batch.finished'])
      .describe('What is sent. Default: only `batch.finished`. Events of jobs are sent for each job of the batch.'),
  })
  .meta({ id: 'BatchWebhook' })

export type AskedWebhook = z.output<typeof jobWebhook> | z.output<typeof batchWebhook>

/** Description of a webhook in a response. */
export const shownWebhook = z
  .object({ url: z.string(), events: z.array(eventType) })
  .meta({ id: 'OwnWebhook', description: 'Where notifications of a job or batch go, besides the endpoints.' })

export const showWebhook = (webhook: OwnWebhook | null): z.output<typeof shownWebhook> | null =>
  webhook && { url: webhook.url, events: webhook.events }

/** The webhook as its job keeps it, and what is wrong with it. */
export function ownWebhook(
  asked: AskedWebhook | undefined,
  allow: WebhookAllow,
): { webhook: OwnWebhook | null; wrong: FieldError[] } {
  if (asked === undefined) return { webhook: null, wrong: [] }
  const detail = webhookUrlProblem(asked.url, allow)
  const events = [...new Set<EventType>(asked.events)]
  return {
    webhook: { url: asked.url, events, shape: 'genqueue', filter: null },
    wrong: detail === null ? [] : [{ pointer: '/webhook/url', code: 'invalid_url', detail }],
  }
}

/** What the words of Replicate's API mean. */
const MEANINGS: Record<WebhookEvent, readonly EventType[]> = {
  start: ['job.started'],
  output: ['job.progress'],
  logs: ['job.progress'],
  completed: ENDS,
}
/** Sent by Replicate when a create has no filter. */
const UNFILTERED: readonly WebhookEvent[] = ['output', 'completed']

/** The same for a create of Replicate's own API. */
export function replicateWebhook(
  to: string | undefined,
  filter: WebhookEvent[] | undefined,
  allow: WebhookAllow,
): { webhook: OwnWebhook | null; wrong: FieldError[] } {
  if (to === undefined) return { webhook: null, wrong: [] }
  const detail = webhookUrlProblem(to, allow)
  const events = [...new Set((filter ?? UNFILTERED).flatMap((event) => MEANINGS[event]))]
  return {
    webhook: { url: to, events, shape: 'replicate', filter: filter ?? null },
    wrong: detail === null ? [] : [{ pointer: '/webhook', code: 'format', detail }],
  }
}
