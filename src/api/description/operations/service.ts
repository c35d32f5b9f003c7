import { z } from 'zod'
import { jobId } from '../../../shared/jobs/rules/ids.ts'
import { arrival } from '../../../shared/doctor/rules/probe.ts'
import { predictionId } from '../../../shared/replicate/rules/prediction.ts'
import { json } from '../../../shared/jobs/rules/job.ts'
import { jsonObject } from '../common.ts'
import { doctorReport } from '../doctor.ts'
import { health, liveness, readiness } from '../health.ts'
import { OWNED, type Operations } from './operation.ts'

/** What the receiver reads of a prediction; Replicate sends more. */
const prediction = z
  .looseObject({
    id: predictionId,
    status: z.enum(['starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted']),
    model: z.string().nullish(),
    version: z.string().nullish(),
    output: json.optional(),
    error: json.optional(),
    logs: z.string().nullish(),
    metrics: jsonObject.nullish(),
    created_at: z.string().nullish(),
    started_at: z.string().nullish(),
    completed_at: z.string().nullish(),
  })
  .meta({ id: 'ReplicatePrediction', description: "A prediction, as Replicate's webhooks contain it." })

const NO_CREDENTIALS = ['invalid_header', 'internal'] as const

export const serviceOperations = {
  receiveWebhook: {
    method: 'post',
    path: '/webhooks/replicate',
    tag: 'Replicate',
    summary: 'Receive a webhook from Replicate',
    description:
      "The body is the prediction, limited to 8 MiB and signed according to Standard Webhooks with the account's secret. The query names the attempt and contains a token of this deployment. Probes of the doctor take the same way; they are answered with what arrived, and change nothing.",
    access: 'open',
    query: z.object({
      job: jobId.optional(),
      attempt: z.int().min(1).optional(),
      token: z.string().optional(),
    }),
    headers: z.object({
      'webhook-id': z.string().optional(),
      'webhook-timestamp': z.string().optional(),
      'webhook-signature': z.string().optional(),
    }),
    body: { required: true, schema: prediction },
    answers: {
      200: {
        description: 'The webhook was processed, or it is authentic but unusable. Repeating it would change nothing.',
        schema: null,
      },
      202: {
        description:
          'A probe of the doctor: JSON Lines, the first with what arrived, the second after a pause that shows whether a proxy buffers responses.',
        schema: z.string(),
        media: 'application/x-ndjson',
        item: z.union([arrival.meta({ id: 'ArrivedProbe' }), z.object({ end: z.literal(true) })]),
      },
    },
    errors: [
      ...NO_CREDENTIALS,
      'invalid_signature',
      'too_many_attempts',
      'invalid_json',
      'request_timeout',
      'body_too_large',
      'unsupported_media_type',
      'too_many_bodies',
      'capacity',
      'unavailable',
      'deployment_lost',
      'upstream_unavailable',
    ],
  },
  isAlive: {
    method: 'get',
    path: '/livez',
    tag: 'Operation',
    summary: 'Whether the process is alive',
    access: 'open',
    answers: { 200: { description: 'The event loop is running.', schema: liveness } },
    errors: NO_CREDENTIALS,
  },
  isReady: {
    method: 'get',
    path: '/readyz',
    tag: 'Operation',
    summary: 'Whether the process is ready for work',
    access: 'open',
    answers: {
      200: { description: 'The process is ready.', schema: readiness },
      503: { description: 'The process is not ready; the checks give the reason.', schema: readiness },
    },
    errors: NO_CREDENTIALS,
  },
  readHealth: {
    method: 'get',
    path: '/v1/health',
    tag: 'Operation',
    summary: 'Get the health of the deployment',
    description: 'For operators. Returns the current figures of `/metrics`. Requires the scope `admin`.',
    answers: { 200: { description: 'Figures for all tenants.', schema: health } },
    errors: OWNED,
  },
  runDoctor: {
    method: 'get',
    path: '/v1/admin/doctor',
    tag: 'Operation',
    summary: 'Check the set-up of the deployment',
    description:
      'For operators: Redis, token, credit, presets, storage, and webhooks. A worker sends signed probes to `PUBLIC_URL` by the way that the webhooks of Replicate take. Takes some seconds, at most about two minutes; simultaneous requests share one run. Changes no job. Requires the scope `admin`.',
    answers: { 200: { description: 'The result of each check.', schema: doctorReport } },
    errors: OWNED,
  },
  readMetrics: {
    method: 'get',
    path: '/metrics',
    tag: 'Operation',
    summary: 'Get metrics for Prometheus',
    access: 'open',
    answers: { 200: { description: 'The text format of Prometheus.', schema: z.string(), media: 'text/plain' } },
    errors: [...NO_CREDENTIALS, 'unavailable'],
  },
  readDescription: {
    method: 'get',
    path: '/openapi.json',
    tag: 'Operation',
    summary: 'Get this description',
    access: 'open',
    answers: { 200: { description: 'OpenAPI 3.1 as JSON.', schema: jsonObject } },
    errors: NO_CREDENTIALS,
  },
  readDescriptionAsYaml: {
    method: 'get',
    path: '/openapi.yaml',
    tag: 'Operation',
    summary: 'Get this description as YAML',
    access: 'open',
    answers: { 200: { description: 'OpenAPI 3.1 as YAML.', schema: z.string(), media: 'application/yaml' } },
    errors: NO_CREDENTIALS,
  },
  readPage: {
    method: 'get',
    path: '/docs',
    tag: 'Operation',
    summary: 'Get this description as a page',
    description: 'With search and trial requests, which need JavaScript; `/docs/plain` does not.',
    access: 'open',
    answers: { 200: { description: 'HTML.', schema: z.string(), media: 'text/html' } },
    errors: NO_CREDENTIALS,
  },
  readPlainPage: {
    method: 'get',
    path: '/docs/plain',
    tag: 'Operation',
    summary: 'Get this description as a page without scripts',
    access: 'open',
    answers: { 200: { description: 'HTML.', schema: z.string(), media: 'text/html' } },
    errors: NO_CREDENTIALS,
  },
} satisfies Operations
