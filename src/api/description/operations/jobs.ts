import { z } from 'zod'
import { jobId } from '../../../shared/jobs/rules/ids.ts'
import { tokenRequestSchema } from '../../../shared/tenants/rules/tenant-requests.ts'
import {
  EVENT_ID,
  allEventsQueryFields,
  eventsQueryFields,
  getQuerySchema,
  jobRequestSchema,
  listQueryFields,
  manifestQuerySchema,
  OUTPUT_POSITION,
  outputQuerySchema,
  retryQuerySchema,
  retrySchema,
  submitQuerySchema,
} from '../../schemas.ts'
import { explanation } from '../explanation.ts'
import { job, jobLogs, jobManifest, jobPage, logPiece } from '../jobs.ts'
import { readToken } from '../tenants.ts'
import {
  ACCEPT,
  acceptHeaders,
  created,
  EVENT_STREAM,
  eventOf,
  OWNED,
  POSTED,
  preferHeader,
  replayed,
  unavailableEvent,
  waited,
  type Operations,
} from './operation.ts'

const params = z.object({ id: jobId })
const accepted = created.extend({ ...waited.shape, ...replayed.shape })
const headers = acceptHeaders.extend(preferHeader.shape)
const jobEvent = eventOf('job', job, z.string().regex(/^\d{1,15}$/))

const outputPosition = z.string().regex(OUTPUT_POSITION)

const MANY_JOBS =
  'With `Last-Event-ID` the changes since that event are sent first. If they are no longer available, the stream begins with `reset` instead, and the client must read the list again. While the service can read changes, it sends an event at least every 15 seconds: `alive`, if there is nothing else, whose id is the newest position. When it cannot, the stream ends with `unavailable` within some ten seconds, and new streams get 503.'

const lastEventId = z.object({
  'Last-Event-ID': z.string().regex(EVENT_ID).optional().describe('The id of the last event that the client received.'),
})

const jobEvents = {
  200: {
    description: 'The event stream. It ends when the client disconnects, the service stops or changes cannot be read.',
    schema: z.string(),
    media: EVENT_STREAM,
    item: z.union([
      eventOf('ready', z.object({}), z.string()),
      eventOf('reset', z.object({}), z.string()),
      eventOf('job', job, z.string()),
      eventOf('alive', z.object({}), z.string()),
      unavailableEvent,
    ]),
  },
}

export const jobOperations = {
  submitJob: {
    method: 'post',
    path: '/v1/jobs',
    tag: 'Jobs',
    summary: 'Submit a job',
    description:
      'Accepts one generation and responds as soon as it is queued. The input is validated first, against the schema of the preset or, if it is known, of the model. With `Prefer: wait=n` the response waits for the result, up to n seconds.',
    query: submitQuerySchema,
    headers,
    body: {
      required: true,
      schema: jobRequestSchema,
      description:
        'JSON in UTF-8, limited to 32 levels, 10,000 values, 4 MiB without the data URIs in the input, and 64 MiB with them.',
      example: {
        preset: 'story-page',
        input: { prompt: 'a lighthouse at night', aspect_ratio: '16:9' },
        metadata: { page: 7 },
        user: '42',
      },
    },
    answers: {
      202: { description: 'The job was accepted and is not final yet.', schema: job, headers: accepted },
      200: {
        description: 'The job became final within the requested wait; or, with `explain=1`, the explanation.',
        schema: z.union([job, explanation]),
        headers: accepted.partial(),
      },
    },
    errors: [...POSTED, ...ACCEPT, 'not_found'],
  },
  listJobs: {
    method: 'get',
    path: '/v1/jobs',
    tag: 'Jobs',
    summary: 'List jobs',
    description: 'Lists jobs in pages, newest first.',
    query: listQueryFields,
    answers: { 200: { description: 'A page of the list.', schema: jobPage } },
    errors: OWNED,
  },
  getJob: {
    method: 'get',
    path: '/v1/jobs/{id}',
    tag: 'Jobs',
    summary: 'Get a job',
    description: 'With `wait` the request is a long-poll, which returns when the job is final or the time has elapsed.',
    params,
    query: getQuerySchema,
    answers: { 200: { description: 'The current state of the job.', schema: job } },
    errors: [...OWNED, 'not_found'],
  },
  deleteJob: {
    method: 'delete',
    path: '/v1/jobs/{id}',
    tag: 'Jobs',
    summary: 'Delete a job',
    description:
      'Removes a job before its retention ends: the record, input and output, and their files, even those that are kept forever. If retention has already removed the record but not the files, the files are removed. The cost stays in the ledger, and the batch keeps its counts. A job whose outputs are being stored is canceled first (see the cancel route). The response is 409 `not_deletable` while the job is not final or its prediction is being stopped. A repeated request gets 404.',
    params,
    answers: { 204: { description: 'The job was removed.', schema: null } },
    errors: [...OWNED, 'not_found', 'not_deletable', 'storage_unavailable', 'capacity'],
  },
  getJobManifest: {
    method: 'get',
    path: '/v1/jobs/{id}/manifest',
    tag: 'Results',
    summary: 'Get the manifest of a job',
    description:
      'Provenance to store beside the result: model and version, input and seed, cost, and the SHA-256 of each file. Complete when the job is final.',
    params,
    query: manifestQuerySchema,
    answers: { 200: { description: 'The manifest.', schema: jobManifest } },
    errors: [...OWNED, 'not_found'],
  },
  cancelJob: {
    method: 'post',
    path: '/v1/jobs/{id}/cancel',
    tag: 'Jobs',
    summary: 'Cancel a job',
    description:
      'A queued job ends at once and costs nothing. A running prediction is first stopped at Replicate; the job ends when Replicate confirms, or after two minutes. A job whose outputs are being stored ends at once: its output is discarded, its hold is released, and its error has `billed: yes`. Repeating a cancel changes nothing. The request needs no body.',
    params,
    answers: {
      200: { description: 'The job was canceled.', schema: job },
      202: { description: 'The prediction is being stopped; the phase is `stopping`.', schema: job },
    },
    errors: [...POSTED, 'not_found', 'not_cancelable'],
  },
  retryJob: {
    method: 'post',
    path: '/v1/jobs/{id}/retry',
    tag: 'Jobs',
    summary: 'Retry a job',
    description:
      'Creates a new job with the same request; its `retry_of` is the id of the old job. The old job must be final, and its input must still exist. The request needs no body; `Idempotency-Key` and `Prefer: wait=n` work as in a submission. With `pinned` the new job uses the version that ran and its seed, if they are known.',
    params,
    query: retryQuerySchema,
    headers,
    body: { required: false, schema: retrySchema.removeDefault() },
    answers: {
      202: { description: 'The new job was accepted and is not final yet.', schema: job, headers: accepted },
      200: { description: 'The new job became final within the requested wait.', schema: job, headers: accepted },
    },
    errors: [...POSTED, ...ACCEPT, 'not_found', 'not_retryable'],
  },
  watchJob: {
    method: 'get',
    path: '/v1/jobs/{id}/events',
    tag: 'Events',
    summary: 'Follow a job',
    description:
      'Server-sent events named `job`, each with the complete current job as data and its `rev` as id. The first event is sent at once, and the stream ends after the final state. A comment every 15 seconds keeps the connection alive. When changes cannot be read, the stream ends with `unavailable`.',
    params,
    headers: z.object({
      'Last-Event-ID': z
        .string()
        .regex(/^\d{1,15}$/)
        .optional()
        .describe('Sent by browsers when they reconnect. The current state is sent in any case.'),
    }),
    answers: {
      200: {
        description: 'The event stream.',
        schema: z.string(),
        media: EVENT_STREAM,
        item: z.union([jobEvent, unavailableEvent]),
      },
    },
    errors: [...OWNED, 'not_found', 'too_many_streams'],
  },
  streamOutput: {
    method: 'get',
    path: '/v1/jobs/{id}/output',
    tag: 'Events',
    summary: 'Stream the output of a job',
    description:
      'The text of a job as server-sent events, as it is written, and from its beginning for a late reader. `output` continues the text. `reset` means that the prediction was restarted and its text begins again. `done` has the final job, whatever its status, and ends the stream; until then everything of its text has been sent, up to 16 MiB. An output that is no text comes with `done` only. With `Last-Event-ID` the stream continues after that event, from any process. When the job cannot be read, the stream ends with `unavailable`. Line breaks are `\\n`.',
    params,
    query: outputQuerySchema,
    headers: z.object({
      'Last-Event-ID': z
        .string()
        .regex(OUTPUT_POSITION)
        .optional()
        .describe('The id of the last event that the client received: the attempt, and the number of its characters.'),
    }),
    answers: {
      200: {
        description: 'The event stream.',
        schema: z.string(),
        media: EVENT_STREAM,
        item: z.union([
          eventOf('output', z.object({ text: z.string() }), outputPosition),
          eventOf('reset', z.object({}), outputPosition),
          eventOf('job', job, outputPosition),
          eventOf('logs', logPiece, z.string().exactOptional()),
          eventOf('done', job, outputPosition),
          unavailableEvent,
        ]),
      },
    },
    errors: [...OWNED, 'not_found', 'too_many_streams'],
  },
  readLogs: {
    method: 'get',
    path: '/v1/jobs/{id}/logs',
    tag: 'Jobs',
    summary: 'Read the logs of the model',
    description:
      "The last 64 KiB, read from Replicate, which keeps logs for about an hour after completion. Those of jobs that were made by Replicate's own API are kept until their payload is removed. Each request uses the read budget, so request logs on demand, not for every job.",
    params,
    answers: { 200: { description: 'The available part of the logs.', schema: jobLogs } },
    errors: [...OWNED, 'not_found', 'upstream_unavailable'],
  },
  issueJobToken: {
    method: 'post',
    path: '/v1/jobs/{id}/token',
    tag: 'Jobs',
    summary: 'Issue a job token for a browser',
    description:
      'The token can only read this job, its events and its files. Send it as `Authorization: Bearer`, or as `?token=` where a browser cannot send a header. It becomes invalid at the latest with the key that requested it.',
    params,
    body: { required: false, schema: tokenRequestSchema },
    answers: { 200: { description: 'A token for reading this job.', schema: readToken } },
    errors: [...POSTED, 'not_found'],
  },
  watchJobs: {
    method: 'get',
    path: '/v1/events',
    tag: 'Events',
    summary: 'Follow all jobs',
    description: `The stream begins with an event \`ready\`; then each change of any job sends an event \`job\` with the complete job. With filters it sends only jobs that match all of them. ${MANY_JOBS}`,
    headers: lastEventId,
    query: eventsQueryFields,
    answers: jobEvents,
    errors: [...OWNED, 'too_many_streams'],
  },
  watchAllJobs: {
    method: 'get',
    path: '/v1/admin/events',
    tag: 'Events',
    summary: 'Follow the jobs of all tenants',
    description: `The same stream for operators, with the jobs of all tenants, or of one with \`tenant\`. Each job names its tenant. ${MANY_JOBS}`,
    headers: lastEventId,
    query: allEventsQueryFields,
    answers: jobEvents,
    errors: [...OWNED, 'too_many_streams'],
  },
} satisfies Operations
