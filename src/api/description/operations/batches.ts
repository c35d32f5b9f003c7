import { z } from 'zod'
import { batchId } from '../../../shared/jobs/rules/ids.ts'
import { tokenRequestSchema } from '../../../shared/tenants/rules/tenant-requests.ts'
import {
  batchJobsQuerySchema,
  batchListQuerySchema,
  batchManifestQuerySchema,
  batchRequestSchema,
  jobRequestFields,
  MAX_BATCH_ITEMS,
  submitQuerySchema,
} from '../../schemas.ts'
import { batch, batchPage } from '../batches.ts'
import { explanation } from '../explanation.ts'
import { jobPage, manifestLine } from '../jobs.ts'
import { readToken } from '../tenants.ts'
import {
  ACCEPT,
  acceptHeaders,
  created,
  EVENT_STREAM,
  eventOf,
  OWNED,
  POSTED,
  replayed,
  unavailableEvent,
  type Operations,
} from './operation.ts'

const { metadata } = jobRequestFields.shape
const batchItem = jobRequestFields
  .extend({ metadata: metadata.removeDefault().describe(metadata.description ?? '') })
  .partial()
  .meta({
    id: 'BatchItem',
    description: 'A job request; absent fields have the values of `defaults`, the input field by field.',
  })

/** The request with its items, which the service checks merged with the defaults. */
const batchRequest = batchRequestSchema
  .extend({
    defaults: batchItem.default({}).describe('Default values of the items: any field of a job request.'),
    items: z.array(batchItem).min(1).max(MAX_BATCH_ITEMS).describe('The jobs, by position.'),
  })
  .meta({ id: 'BatchRequest', description: 'All of its jobs are accepted, or none.' })

const params = z.object({ id: batchId })
const accepted = created.extend(replayed.shape)

export const batchOperations = {
  submitBatch: {
    method: 'post',
    path: '/v1/batches',
    tag: 'Batches',
    summary: 'Submit a batch',
    description:
      'Accepts up to 1,000 jobs and holds their credits, for all of them or none. `defaults` contains common fields; an item overrides them, and its `input` is merged field by field. Errors list the positions of all invalid items. The body is limited to 8 MiB without the data URIs in the inputs, and 64 MiB with them.',
    query: submitQuerySchema,
    headers: acceptHeaders,
    body: {
      required: true,
      schema: batchRequest,
      example: {
        defaults: { preset: 'story-page', input: { aspect_ratio: '16:9' } },
        max_spend: 1_000_000,
        items: [{ input: { prompt: 'a lighthouse at night' } }, { input: { prompt: 'the same by day' } }],
      },
    },
    answers: {
      202: { description: 'All jobs were accepted.', schema: batch, headers: accepted },
      200: { description: 'With `explain=1`: the explanation.', schema: explanation },
    },
    errors: [...POSTED, ...ACCEPT],
  },
  listBatches: {
    method: 'get',
    path: '/v1/batches',
    tag: 'Batches',
    summary: 'List batches, newest first',
    query: batchListQuerySchema,
    answers: { 200: { description: 'A page of the list.', schema: batchPage } },
    errors: OWNED,
  },
  getBatch: {
    method: 'get',
    path: '/v1/batches/{id}',
    tag: 'Batches',
    summary: 'Get a batch',
    params,
    answers: { 200: { description: 'The current state of the batch.', schema: batch } },
    errors: [...OWNED, 'not_found'],
  },
  listBatchJobs: {
    method: 'get',
    path: '/v1/batches/{id}/jobs',
    tag: 'Batches',
    summary: 'List the jobs of a batch by position',
    params,
    query: batchJobsQuerySchema,
    answers: {
      200: { description: 'A page of the list, without jobs that retention has removed.', schema: jobPage },
    },
    errors: [...OWNED, 'not_found'],
  },
  followBatch: {
    method: 'get',
    path: '/v1/batches/{id}/events',
    tag: 'Batches',
    summary: 'Follow a batch',
    description:
      'Server-sent events named `batch`, each with the complete batch as data. The first event is sent at once, and the stream ends when the batch has completed. When changes cannot be read, it ends with `unavailable`.',
    params,
    answers: {
      200: {
        description: 'The event stream.',
        schema: z.string(),
        media: EVENT_STREAM,
        item: z.union([eventOf('batch', batch, z.string()), unavailableEvent]),
      },
    },
    errors: [...OWNED, 'not_found', 'too_many_streams'],
  },
  batchManifest: {
    method: 'get',
    path: '/v1/batches/{id}/manifest',
    tag: 'Batches',
    summary: 'Get the manifest of a batch',
    params,
    query: batchManifestQuerySchema,
    answers: {
      200: {
        description: 'JSON Lines, one line per job, by position.',
        schema: z.string(),
        media: 'application/x-ndjson',
        item: manifestLine,
      },
    },
    errors: [...OWNED, 'not_found'],
  },
  cancelBatch: {
    method: 'post',
    path: '/v1/batches/{id}/cancel',
    tag: 'Batches',
    summary: 'Cancel a batch',
    description:
      'No further job starts, and jobs in progress are canceled. Succeeded jobs are kept. Repeating the request changes nothing.',
    params,
    answers: { 202: { description: 'The batch is being canceled.', schema: batch } },
    errors: [...POSTED, 'not_found', 'not_cancelable'],
  },
  retryFailedBatch: {
    method: 'post',
    path: '/v1/batches/{id}/retry-failed',
    tag: 'Batches',
    summary: 'Retry the unsuccessful jobs of a batch',
    description:
      'Creates a new batch of the jobs that failed or were canceled. Its `retry_of` is the id of the old batch.',
    params,
    headers: acceptHeaders,
    answers: { 202: { description: 'The new batch was accepted.', schema: batch, headers: accepted } },
    errors: [...POSTED, ...ACCEPT, 'not_found', 'not_retryable'],
  },
  issueBatchToken: {
    method: 'post',
    path: '/v1/batches/{id}/token',
    tag: 'Batches',
    summary: 'Issue a batch token for a browser',
    params,
    body: { required: false, schema: tokenRequestSchema },
    answers: { 200: { description: 'A token for reading this batch and its jobs.', schema: readToken } },
    errors: [...POSTED, 'not_found'],
  },
} satisfies Operations
